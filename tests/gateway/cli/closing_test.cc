// SPDX-License-Identifier: MIT
#include "cli/closing.h"

#include <doctest/doctest.h>

#include <iostream>
#include <sstream>

namespace millrace::gateway::cli {
namespace {

using nlohmann::ordered_json;

// The last words on a run with these tasks.
std::string said(const ordered_json& tasks, const ordered_json& run,
                 progress_mode mode = progress_mode::plain) {
  std::stringstream printed;
  auto* const real = std::cerr.rdbuf(printed.rdbuf());
  {
    progress view{mode};
    closing last_words;
    for (const auto& each : tasks) {
      last_words.add(each);
    }
    last_words.show(view, run, [](const std::string& task, std::uint32_t attempt, std::uint32_t) {
      return task == "quiet" ? std::nullopt
                             : std::optional{output_tail{"log " + std::to_string(attempt),
                                                         task == "bad" ? "3 tests\n1 failed\n" : "",
                                                         "why\x1b[2J\nso\n"}};
    });
  }
  std::cerr.rdbuf(real);
  return printed.str();
}

}  // namespace

TEST_CASE("tasks are counted by what became of them") {
  CHECK(task_summary(ordered_json::object()) == "0 tasks");
  CHECK(task_summary({{"total", 1}, {"succeeded", 1}, {"failed", 0}}) == "1 task: 1 succeeded");
  CHECK(task_summary({{"total", 4}, {"waiting", 1}, {"failed", 2}, {"upstream_failed", 1}}) ==
        "4 tasks: 2 failed, 1 not started, 1 waiting");
  CHECK(task_summary({{"total", 4}, {"succeeded", 3}, {"cached", 2}, {"skipped", 1}}) ==
        "4 tasks: 3 succeeded (2 cached), 1 skipped");
}

TEST_CASE("the last words on a run show how the output of failed tasks ends") {
  const auto tasks = ordered_json::parse(R"([{"id":"good","state":"succeeded","attempt":1},
    {"id":"bad","state":"failed","attempt":2},{"id":"gone","state":"lost","attempt":1},
    {"id":"quiet","state":"errored","attempt":1},
    {"id":"never","state":"failed","attempt":0}])");
  CHECK(said(tasks, {{"state", "failed"},
                     {"reason", "task `bad` failed"},
                     {"tasks", {{"total", 5}, {"failed", 4}}}}) ==
        "--- bad: the end of what it wrote; all: `log 2`\n3 tests\n1 failed\nwhy [2J\nso\n"
        "--- gone: the end of what it wrote; all: `log 1`\nwhy [2J\nso\n"
        "   0.0s  run failed: task `bad` failed (5 tasks: 4 failed)\n");
}

TEST_CASE("there are no last words where JSON or nothing is wanted") {
  const auto tasks = ordered_json::parse(R"([{"id":"bad","state":"failed","attempt":1}])");
  for (const auto mode : {progress_mode::json, progress_mode::quiet}) {
    CHECK(said(tasks, {{"state", "failed"}}, mode).empty());
  }
}

TEST_CASE("of many failures the first are shown and the others counted") {
  auto tasks = ordered_json::array();
  for (int each = 0; each < 13; ++each) {
    tasks.push_back({{"id", "quiet"}, {"state", "failed"}, {"attempt", 1}});
  }
  CHECK(said(tasks, {{"state", "failed"}}) ==
        "--- and 3 more that failed\n   0.0s  run failed (0 tasks)\n");
}

}  // namespace millrace::gateway::cli
