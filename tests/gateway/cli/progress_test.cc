// SPDX-License-Identifier: MIT
#include "cli/progress.h"

#include <doctest/doctest.h>

#include <iostream>
#include <sstream>

namespace millrace::gateway::cli {
namespace {

progress_event event(const std::string& at, const std::string& name, const std::string& state) {
  auto made = event_from_json(R"({"run_state":"running","at":"2026-01-01T)" + at +
                              R"(Z","name":")" + name + R"(","state":")" + state + "\"}");
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

TEST_CASE("what is no event of a run, or has no time, is understood as far as it can be") {
  CHECK_FALSE(event_from_json("{}"));
  CHECK_FALSE(event_from_json("["));
  CHECK(event_from_json(R"({"run_state":"running"})")->at.count() == 0);
  CHECK(event_from_json(R"({"run_state":"running","at":"noon"})")->at.count() == 0);
}

}  // namespace millrace::gateway::cli
