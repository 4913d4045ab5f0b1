// SPDX-License-Identifier: MIT
#include "cli/progress.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>
#include <sstream>

namespace millrace::gateway::cli {
namespace {

progress_event event(const std::string& at, const std::string& name, const std::string& state) {
  auto made = event_from_json(R"({"run_state":"running","at":"2026-01-01T)" + at +
                              R"(Z","task":")" + name + R"(","state":")" + state + "\"}");
  REQUIRE(made);
  return *std::move(made);
}

}  // namespace

TEST_CASE("a run that is looked at later took as long as it did") {
  std::stringstream printed;
  auto* const real = std::cerr.rdbuf(printed.rdbuf());
  {
    progress view{progress_mode::plain};
    view.event(event("00:00:00", "", "waiting"));
    view.event(event("00:00:01.5", "a", "running"));
    view.event(event("00:01:31.5", "a", "succeeded"));
    view.event(event("00:01:32", "", "waiting"));
    view.end("succeeded", "", "1 task");
  }
  std::cerr.rdbuf(real);
  CHECK(printed.str() ==
        "   1.5s  running          a\n"
        "  1m31s  succeeded        a in 1m30s\n"
        "  1m32s  run succeeded (1 task)\n");
}

TEST_CASE("plain progress has a line a task where there are many") {
  std::stringstream printed;
  auto* const real = std::cerr.rdbuf(printed.rdbuf());
  {
    progress view{progress_mode::plain};
    for (int task = 0; task < 150; ++task) {
      const auto name = "t[" + std::to_string(task) + "]";
      view.event(event("00:00:00", name, "running"));
      view.event(event("00:00:01", name, "succeeded"));
    }
  }
  std::cerr.rdbuf(real);
  const auto count = [text = printed.str()](const std::string& what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
      ++found;
    }
    return found;
  };
  CHECK(count("running ") == 100);
  CHECK(count("succeeded ") == 150);
  CHECK(count("t[149] in 1.0s\n") == 1);
  CHECK(count("only their ends are told") == 1);
  CHECK(count("\n") == 251);
}

TEST_CASE("the line of a terminal tells of how many tasks, and what starts again has not ended") {
  std::stringstream printed;
  auto* const real = std::cerr.rdbuf(printed.rdbuf());
  {
    progress view{progress_mode::tty};
    view.event(event("00:00:00", "a", "running"));
    CHECK(printed.str().ends_with("] 0 done, 1 running: a"));
    CHECK(view.wants_total());
    view.set_total(3);
    CHECK_FALSE(view.wants_total());
    view.event(event("00:00:01", "a", "failed"));
    CHECK(printed.str().ends_with("] 1 of 3 done, 0 running"));
    view.event(event("00:00:02", "a", "running"));
    CHECK(printed.str().ends_with("] 0 of 3 done, 1 running: a"));
    view.set_total(std::nullopt);
    CHECK_FALSE(view.wants_total());
    view.event(event("00:00:03", "a", "failed"));
    CHECK(printed.str().ends_with("] 1 of 3 done, 0 running"));
  }
  std::cerr.rdbuf(real);
  CHECK_FALSE(progress{progress_mode::plain}.wants_total());
}

TEST_CASE("colours follow the variables that people set for them") {
  const auto is_colored = [](progress_mode mode, const char* variable, const char* value) {
    ::unsetenv("NO_COLOR");
    ::unsetenv("CLICOLOR_FORCE");
    ::setenv(variable, value, 1);
    std::stringstream printed;
    auto* const real = std::cerr.rdbuf(printed.rdbuf());
    {
      progress view{mode};
      view.event(event("00:00:00", "a", "succeeded"));
    }
    std::cerr.rdbuf(real);
    ::unsetenv(variable);
    return printed.str().find("\x1b[32m") != std::string::npos;
  };
  CHECK(is_colored(progress_mode::tty, "UNRELATED", "1"));
  CHECK(is_colored(progress_mode::tty, "NO_COLOR", ""));  // as if it were not there
  CHECK_FALSE(is_colored(progress_mode::tty, "NO_COLOR", "1"));
  CHECK_FALSE(is_colored(progress_mode::plain, "UNRELATED", "1"));
  CHECK(is_colored(progress_mode::plain, "CLICOLOR_FORCE", "1"));
}

TEST_CASE("what is no event of a run, or has no time, is understood as far as it can be") {
  CHECK_FALSE(event_from_json("{}"));
  CHECK_FALSE(event_from_json("["));
  CHECK(event_from_json(R"({"run_state":"running"})")->at.count() == 0);
  CHECK(event_from_json(R"({"run_state":"running","at":"noon"})")->at.count() == 0);
}

}  // namespace millrace::gateway::cli
