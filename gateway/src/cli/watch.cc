// SPDX-License-Identifier: MIT
#include "cli/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "cli/reconnects.h"
#include "millrace/actors/duration_text.h"

namespace millrace::gateway::cli {

namespace po = boost::program_options;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

exit_code code_of_state(const std::string& state) {
  return state == "succeeded"   ? exit_code::ok
         : state == "cancelled" ? exit_code::cancelled
                                : exit_code::run_failed;
}

bool is_event_stream(const http::client_response& answer) {
  return answer.headers.find("Content-Type").value_or("").starts_with("text/event-stream");
}

// A proxy whose server is away, or a server that is stopping.
bool may_pass(int status) {
  return status >= 500;
}

// Follows the run's events, over broken connections too. False when `latest` came first.
result<bool> follow_events(remote& server, const std::string& run, progress& view,
                           runtime::steady_time latest) {
  std::string last;
  auto ended = false;
  auto reached = false;
  for (reconnects tries;;) {
    auto brought = pass::nothing;
    const auto began = server.now();
    const auto answer = server.client().events(
        "/api/v1/runs/" + escaped(run) + "/events", last,
        [&](const http::received_event& event) {
          brought = pass::something;
          last = event.id;
          if (event.name == "end") {
            ended = true;
            return http::flow::stop;
          }
          if (const auto known = event_from_json(event.data)) {
            view.event(*known);
          }
          return http::flow::more;
        },
        latest);
    if (ended) {
      return true;
    }
    const auto now = server.now();
    if (now >= latest) {
      return false;
    }
    error why{errc::unavailable, server.url() + " ends the events of the run before its end"};
    reached = reached || answer || brought == pass::something;
    if (!reached) {
      return answer.error();  // more likely a wrong address than a restart
    }
    if (!answer) {
      why = answer.error();
    } else if (answer->status >= 400) {
      why = server.problem_of(*answer);
    } else if (!is_event_stream(*answer)) {
      return server.not_ours();
    }
    if (answer && answer->status >= 400 && !may_pass(answer->status)) {
      return why;
    }
    // A quiet run may outlast what a proxy allows one stream.
    if (now - began >= reconnects::patience && why.code() != errc::deadline_exceeded) {
      brought = pass::something;
    }
    const auto wait = tries.after(brought);
    if (!wait) {
      return error{errc::unavailable,
                   why.text() + "; gave up after " + actors::format_duration(reconnects::patience)};
    }
    std::this_thread::sleep_for(std::min<runtime::duration>(*wait, latest - now));
  }
}

}  // namespace

void add_timeout_option(po::options_description& options) {
  options.add_options()("timeout", po::value<std::string>()->value_name("DURATION"),
                        "wait at most so long, such as 90s or 1h30m; the run goes on");
}

result<std::optional<runtime::duration>> timeout_of(const option_values& options) {
  if (options.count("timeout") == 0) {
    return std::optional<runtime::duration>{};
  }
  const auto text = options["timeout"].as<std::string>();
  const auto parsed = actors::parse_duration(text);
  if (!parsed.length) {
    return error{errc::invalid_argument, "--timeout '" + text + "': " + parsed.text +
                                             (parsed.hint.empty() ? "" : "; " + parsed.hint)};
  }
  return parsed.length;
}

exit_code watch(remote& server, const std::string& run, progress_mode mode,
                std::optional<runtime::duration> timeout) {
  progress view{mode};
  const auto latest = timeout ? server.now() + *timeout : runtime::steady_time::max();
  const auto ended = follow_events(server, run, view, latest);
  if (!ended) {
    return report(ended.error());
  }
  if (!*ended) {
    return report(exit_code::wait_timed_out,
                  fmt::format("run {} has not ended within {}; it goes on: `millrace watch {}`",
                              run, actors::format_duration(*timeout), run));
  }
  const auto status = server.ask(http::method::get, "/api/v1/runs/" + escaped(run));
  if (!status) {
    return report(status.error());
  }
  const auto tasks = status->at("tasks").value("total", 0);
  view.end(status->value("state", ""), status->value("reason", ""),
           fmt::format("{} {}", tasks, tasks == 1 ? "task" : "tasks"));
  return code_of_state(status->value("state", ""));
}

}  // namespace millrace::gateway::cli
