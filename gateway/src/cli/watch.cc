// SPDX-License-Identifier: MIT
#include "cli/watch.h"

#include <fmt/format.h>

namespace millrace::gateway::cli {

using runtime::result;

namespace {

constexpr int reconnects_max = 5;

exit_code code_of_state(const std::string& state) {
  return state == "succeeded"   ? exit_code::ok
         : state == "cancelled" ? exit_code::cancelled
                                : exit_code::run_failed;
}

// Follows the run's events, over broken connections too.
result<void> follow_events(remote& server, const std::string& run, progress& view) {
  std::string last;
  auto ended = false;
  for (int failures = 0; !ended;) {
    const auto answer = server.client().events(
        "/api/v1/runs/" + escaped(run) + "/events", last, [&](const http::received_event& event) {
          failures = 0;
          last = event.id;
          if (event.name == "end") {
            ended = true;
            return http::flow::stop;
          }
          if (const auto known = event_from_json(event.data)) {
            view.event(*known);
          }
          return http::flow::more;
        });
    if (answer && answer->status >= 400) {
      return server.problem_of(*answer);
    }
    if (!answer && ++failures > reconnects_max) {
      return answer.error();
    }
  }
  return {};
}

}  // namespace

exit_code watch(remote& server, const std::string& run, progress_mode mode) {
  progress view{mode};
  if (auto followed = follow_events(server, run, view); !followed) {
    return report(followed.error());
  }
  const auto status = server.ask(http::method::get, "/api/v1/runs/" + escaped(run));
  if (!status) {
    return report(status.error());
  }
  const auto tasks = status->at("tasks").value("total", 0);
  view.end((*status).value("state", ""), (*status).value("reason", ""),
           fmt::format("{} {}", tasks, tasks == 1 ? "task" : "tasks"));
  return code_of_state((*status).value("state", ""));
}

}  // namespace millrace::gateway::cli
