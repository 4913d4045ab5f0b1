// SPDX-License-Identifier: MIT
// Tasks that are runs of other pipelines, in the graph; pauses; outputs of runs.
#include "played_run.h"

namespace millrace::actors {

TEST_CASE("a loss of files starts no run of another pipeline a second time") {
  played_run run{R"(name: p
tasks:
  - {name: prep, run: x}
  - {name: call, pipeline: other, needs: [prep]}
  - {name: done, pipeline: other, needs: [prep]}
  - {name: after, run: x, needs: [call, done]}
)"};
  run.end("prep", task_state::SUCCEEDED);
  run.end("done", task_state::SUCCEEDED);
  CHECK(run.running() == names{"call"});
  run.lose_files();
  // `after` may want the files of `prep`; what `call` and `done` were given stands.
  CHECK(run.running() == names{"call", "prep"});
  run.come_back();
  run.end("prep", task_state::SUCCEEDED);
  CHECK(run.running() == names{"call"});
  run.end("call", task_state::SUCCEEDED);
  CHECK(run.running() == names{"after"});
  run.end("after", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

TEST_CASE("what only a run of another pipeline needs is not done again for its files") {
  played_run run{R"(name: p
tasks:
  - {name: prep, run: x}
  - {name: slow, run: x}
  - {name: call, pipeline: other, needs: [prep, slow]}
)"};
  run.end("prep", task_state::SUCCEEDED);
  run.lose_files();
  run.end("slow", task_state::CANCELLED);
  CHECK(run.running() == names{"slow"});
}

TEST_CASE("a pause holds back what may start, and nothing else; a stop ends it") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
  - {name: never, run: x, needs: [a], when: "false"}
  - {name: tidy, run: x, needs: [a], run_on: always}
)"};
  run.graph_.pause();
  run.end("a", task_state::SUCCEEDED);
  CHECK(run.running().empty());
  CHECK(run.settled_.at("never") == task_state::SKIPPED);
  auto other = run;
  run.take(run.graph_.resume());
  CHECK(run.running() == names{"b", "tidy"});
  other.stop();
  CHECK(other.running() == names{"tidy"});
  CHECK(other.settled_.at("b") == task_state::CANCELLED);
}

TEST_CASE("outputs of a run and params of another have their limits") {
  const std::string long_text = std::string(60'000, 'x');
  std::string many;
  for (int count = 0; count < 10; ++count) {
    many += "${{ params.x }}";
  }
  played_run run{"name: p\nparams: {x: " + long_text + "}\noutputs: {small: a, all: \"" + many +
                 "\"}\ntasks:\n  - {name: call, pipeline: other, params: {x: \"" + many + "\"}}\n"};
  const auto params = run.graph_.child_params({0, 0});
  REQUIRE_FALSE(params);
  CHECK(params.error().code() == runtime::errc::too_large);
  CHECK(params.error().text().find("those of a run may have 524288") != std::string::npos);
  run.end("call", task_state::SUCCEEDED);
  const auto outputs = run.graph_.outputs();
  REQUIRE_FALSE(outputs);
  CHECK(outputs.error().code() == runtime::errc::too_large);
  CHECK(outputs.error().text().find("outputs all: with it they have more than 262144 bytes") == 0);
}

}  // namespace millrace::actors
