// SPDX-License-Identifier: MIT
// Commands that act on what a server runs: cancel, retry, actor.
#include <iostream>

#include "cli/command.h"
#include "cli/remote.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

void add_cancel_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("reason", po::value<std::string>()->value_name("TEXT"), "why");
}

exit_code run_cancel(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto body = ordered_json{{"reason", text_of(options, "reason")}}.dump(
      -1, ' ', false, ordered_json::error_handler_t::replace);
  const auto answer =
      server->ask(http::method::post, "/api/v1/runs/" + escaped(positional[0]) + "/cancel", body);
  return answer ? exit_code::ok : report(answer.error());
}

exit_code run_retry(const option_values& options, const std::vector<std::string>& positional) {
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  const auto answer =
      server->ask(http::method::post, "/api/v1/runs/" + escaped(positional[0]) + "/retry");
  if (!answer) {
    return report(answer.error());
  }
  std::cerr << "retrying " << answer->at("tasks") << " task instances\n";
  return exit_code::ok;
}

void add_actor_options(po::options_description& options) {
  add_server_options(options);
  options.add_options()("idempotency-key", po::value<std::string>()->value_name("KEY"),
                        "the call takes effect once for this key");
}

exit_code run_actor(const option_values& options, const std::vector<std::string>& positional) {
  if (positional[0] != "call") {
    return report(exit_code::usage, "usage: millrace actor call TYPE KEY METHOD [JSON]");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  http::header_list headers;
  if (options.count("idempotency-key") > 0) {
    headers.add("Idempotency-Key", options["idempotency-key"].as<std::string>());
  }
  const auto answer = server->ask(http::method::post,
                                  "/api/v1/actors/" + escaped(positional[1]) + "/" +
                                      escaped(positional[2]) + "/" + escaped(positional[3]),
                                  positional.size() > 4 ? positional[4] : "{}", headers);
  if (!answer) {
    return report(answer.error());
  }
  std::cout << answer->dump() << '\n';
  return exit_code::ok;
}

}  // namespace

std::vector<command> control_commands() {
  return {
      {"cancel", "RUN [--reason TEXT]", "end a run", "  millrace cancel RUN --reason 'wrong day'\n",
       1, 1, add_cancel_options, run_cancel},
      {"retry", "RUN", "run again what did not succeed", "  millrace retry RUN\n", 1, 1,
       add_server_options, run_retry},
      {"actor", "call TYPE KEY METHOD [JSON]", "call any actor",
       "  millrace actor call run RUN status\n"
       "  millrace actor call pool default status\n",
       4, 5, add_actor_options, run_actor},
  };
}

}  // namespace millrace::gateway::cli
