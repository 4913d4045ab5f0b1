// SPDX-License-Identifier: MIT
// Commands for actors of any type: actor, top.
#include <fmt/format.h>

#include <iostream>
#include <optional>

#include "cli/command.h"
#include "cli/remote.h"
#include "cli/top.h"
#include "cli/watch.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr std::uint32_t list_default = 1'000;
constexpr std::uint32_t list_max = 1'000'000;
constexpr std::uint32_t records_default = 100;
constexpr std::uint32_t records_max = 1'000;  // the server's
constexpr const char* actors_path = "/api/v1/actors/";
constexpr const char* actor_usage =
    "usage: millrace actor call TYPE KEY METHOD [JSON] | list TYPE | state TYPE/KEY | "
    "deactivate TYPE/KEY";

void add_actor_options(po::options_description& options) {
  add_server_option(options);
  add_rows_options(options);
  options.add_options()("idempotency-key", po::value<std::string>()->value_name("KEY"),
                        "call: it takes effect once for this key");
  options.add_options()("timeout", po::value<std::string>()->value_name("DURATION"),
                        "call: wait for the answer so long (default: 10s)");
  options.add_options()("active", "list: those that have an activation, and what it does");
  options.add_options()("prefix", po::value<std::string>()->value_name("TEXT"),
                        "list: those whose key begins so");
  options.add_options()("silo", po::value<std::string>()->value_name("NAME"),
                        "list: those on this silo of the cluster");
  options.add_options()("map", po::value<std::string>()->value_name("NAME"),
                        "state: only this map");
  options.add_options()("after", po::value<std::string>()->value_name("KEY"),
                        "state: of that map, the records after this one");
  options.add_options()("limit", po::value<std::string>()->value_name("N"),
                        "list: at most so many (default: 1000); state: records of each map\n"
                        "(default: 100, at most 1000)");
}

exit_code call(const option_values& options, remote& server,
               const std::vector<std::string>& words) {
  const auto timeout = timeout_of(options);
  if (!timeout) {
    return report(timeout.error());
  }
  if (*timeout) {
    server.set_timeout(**timeout);
  }
  http::header_list headers;
  if (options.count("idempotency-key") > 0) {
    headers.add("Idempotency-Key", options["idempotency-key"].as<std::string>());
  }
  const auto answer = server.ask(
      http::method::post,
      actors_path + escaped(words[1]) + "/" + escaped(words[2]) + "/" + escaped(words[3]),
      words.size() > 4 ? words[4] : "{}", headers);
  if (!answer) {
    return report(answer.error());
  }
  print_one(options.count("output") > 0 ? server.form() : output_form::jsonl, *answer);
  return exit_code::ok;
}

exit_code list(const option_values& options, remote& server, const std::string& type) {
  const auto limit = number_of(options, "limit", list_default, list_max);
  if (!limit) {
    return report(limit.error());
  }
  const auto active = options.count("active") > 0;
  auto rows = ordered_json::array();
  const auto more = server.for_each_row(
      fmt::format("{}{}?active={}&prefix={}&silo={}", actors_path, escaped(type), active,
                  escaped(text_of(options, "prefix")), escaped(text_of(options, "silo"))),
      "actors", *limit,
      [&](const ordered_json& row) -> runtime::result<void> {
        rows.push_back(row);
        return {};
      },
      [](const ordered_json& page) { tell_missing_silos(page, "actors"); });
  if (!more) {
    return report(more.error());
  }
  const auto columns =
      active ? std::vector<std::string>{"key",     "silo",   "phase",  "method",
                                        "busy_ms", "queued", "idle_ms"}
             : std::vector<std::string>{"key", "silo", "active", "version", "state_bytes"};
  print_rows(server.style(), rows, columns);
  if (*more) {
    std::cerr << "millrace: there may be more than " << *limit << "; --limit N shows more\n";
  }
  return exit_code::ok;
}

// The path of `TYPE/KEY`, where a key may have slashes too.
std::optional<std::string> path_of(const std::string& id) {
  const auto end = id.find('/');
  if (end == std::string::npos || end == 0 || end + 1 == id.size()) {
    return std::nullopt;
  }
  return actors_path + escaped(id.substr(0, end)) + "/" + escaped(id.substr(end + 1));
}

exit_code state(const option_values& options, remote& server, const std::string& path) {
  const auto limit = number_of(options, "limit", records_default, records_max);
  if (!limit) {
    return report(limit.error());
  }
  auto target = fmt::format("{}/state?limit={}", path, *limit);
  for (const auto& [option, key] : {std::pair{"map", "map"}, std::pair{"after", "cursor"}}) {
    if (options.count(option) > 0) {
      target += fmt::format("&{}={}", key, escaped(text_of(options, option)));
    }
  }
  const auto answer = server.ask(http::method::get, target);
  if (!answer) {
    return report(answer.error());
  }
  print_one(server.form(), *answer);
  for (const auto& [name, map] : answer->at("maps").items()) {
    if (const auto next = map.value("next_cursor", ""); !next.empty()) {
      std::cerr << "millrace: map '" << name << "' has more: --map '" << name << "' --after '"
                << next << "'\n";
    }
  }
  return exit_code::ok;
}

exit_code deactivate(remote& server, const std::string& path, const std::string& id) {
  const auto answer = server.ask(http::method::post, path + "/deactivate");
  if (!answer) {
    return report(answer.error());
  }
  tell_missing_silos(*answer, "activations");
  std::cerr << id
            << (answer->value("was_active", false) ? " leaves once it has nothing to do\n"
                                                   : " is not active\n");
  return exit_code::ok;
}

exit_code run_actor(const option_values& options, const std::vector<std::string>& words) {
  const auto& what = words[0];
  const auto is_one = what == "state" || what == "deactivate";
  if ((what == "call" && words.size() < 4) || (what != "call" && words.size() != 2) ||
      (what != "call" && what != "list" && !is_one)) {
    return report(exit_code::usage, actor_usage);
  }
  const auto fitting =
      what == "call"
          ? refuse(options, {"active", "silo", "prefix", "map", "after", "limit", "no-headers"},
                   "actor call")
      : what == "list"
          ? refuse(options, {"idempotency-key", "map", "after", "timeout"}, "actor list")
      : what == "state"
          ? refuse(options,
                   {"idempotency-key", "active", "silo", "prefix", "no-headers", "timeout"},
                   "actor state")
          : refuse(options,
                   {"idempotency-key", "active", "silo", "prefix", "map", "after", "limit",
                    "output", "no-headers", "timeout"},
                   "actor deactivate");
  if (!fitting) {
    return report(fitting.error());
  }
  const auto path = is_one ? path_of(words[1]) : std::string{};
  if (!path) {
    return report(exit_code::usage, "'" + words[1] + "' names no actor: write TYPE/KEY");
  }
  auto server = remote::open(options);
  if (!server) {
    return report(server.error());
  }
  return what == "call"    ? call(options, *server, words)
         : what == "list"  ? list(options, *server, words[1])
         : what == "state" ? state(options, *server, *path)
                           : deactivate(*server, *path, words[1]);
}

}  // namespace

std::vector<command> actor_commands() {
  return {
      {"actor", "call TYPE KEY METHOD [JSON] | list TYPE | state TYPE/KEY | deactivate TYPE/KEY",
       "call, list, look into or deactivate actors",
       "  millrace actor call pool default status\n"
       "  millrace actor list run --active --silo b\n"
       "  millrace actor list pipeline --prefix default/ -o name\n"
       "  millrace actor state pipeline/default/nightly --map versions\n"
       "  millrace actor deactivate pool/default\n",
       2, 5, add_actor_options, run_actor},
      {"top", "[-d SECONDS] [--once]", "watch what actors and storage do",
       "  millrace top                      until q or Ctrl-C\n"
       "  millrace top --once -o json       rates over one second\n",
       0, 0, add_top_options, run_top},
  };
}

}  // namespace millrace::gateway::cli
