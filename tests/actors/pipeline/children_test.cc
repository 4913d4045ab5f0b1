// SPDX-License-Identifier: MIT
// Tasks that are runs of pipelines, and the outputs of runs.
#include <string>

#include "fixture.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::ref;
using schemas::RunState;
using schemas::TaskState;

namespace {

schemas::run_interface::status_results status_of(node& here, const std::string& run) {
  auto status = here.silo->call(ref<schemas::Run>(run).status());
  REQUIRE(status);
  return *std::move(status);
}

std::string reason_of(node& here, const std::string& run, const std::string& task) {
  return text_of(here.task(run, task).task().getReason());
}

std::string child_of(node& here, const std::string& run, const std::string& task) {
  return text_of(here.task(run, task).task().getChild());
}

constexpr const char* square = R"yaml(name: square
params: {n: {type: int, required: true}}
outputs: {value: "${{ tasks.multiply.outputs.value }}", of: "${{ params.n }}"}
tasks:
  - {name: multiply, outputs: [value],
     run: 'echo "value=$((MILLRACE_PARAM_N * MILLRACE_PARAM_N))" >> "$MILLRACE_OUTPUT"'}
)yaml";

constexpr const char* gated = R"yaml(name: gated
tasks:
  - {name: gate, approval: "Go on?"}
  - {name: tidy, needs: [gate], run: "true", run_on: always}
)yaml";

}  // namespace

TEST_CASE("tasks are runs of another pipeline, with its parameters and its outputs") {
  temporary_folder data;
  node here{data.path};
  here.apply(square);
  const auto run = here.submit(R"yaml(name: sum
outputs: {total: "${{ tasks.add.outputs.total }}", runs: "${{ length(tasks.each.outputs.run) }}"}
tasks:
  - {name: each, pipeline: square, params: {n: "${{ item }}"}, for_each: [3, 4], max_parallel: 1}
  - {name: add, needs: [each], outputs: [total],
     env: {VALUES: "${{ join(tasks.each.outputs.value, ' + ') }}"},
     run: 'echo "total=$(($VALUES))" >> "$MILLRACE_OUTPUT"'}
)yaml");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto told = status_of(here, run);
  REQUIRE(told.read().getRun().getOutputs().size() == 2);
  CHECK(told.read().getRun().getOutputs()[0].getName() == "runs");
  CHECK(told.read().getRun().getOutputs()[0].getValue() == "2");
  CHECK(told.read().getRun().getOutputs()[1].getValue() == "25");
  const auto child = child_of(here, run, "each[1]");
  CHECK(reason_of(here, run, "each[1]") == "run " + child);
  const auto below = status_of(here, child);
  CHECK(below.run().getParent() == run.c_str());
  CHECK(below.run().getParentTask() == "each[1]");
  CHECK(text_of(below.run().getParams()) == R"({"n":4})");
}

TEST_CASE("a run that cannot begin, or fails, is a task that has failed, and is tried again") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: calls
tasks:
  - {name: nobody, pipeline: nobody}
  - {name: given, pipeline: fails, params: {x: 1}}
  - {name: fails, pipeline: fails}
  - {name: wrong, pipeline: fails, params: {x: "${{ int('x') }}"}}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(reason_of(here, run, "nobody").find("there is no pipeline 'nobody' in project 'default'") !=
        std::string::npos);
  CHECK(here.task(run, "wrong").task().getState() == TaskState::ERRORED);
  here.apply("name: fails\ntasks: [{name: a, run: 'exit 3'}]\n");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry()));
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(reason_of(here, run, "given").find("parameter") != std::string::npos);
  const auto child = child_of(here, run, "fails");
  CHECK(reason_of(here, run, "fails") == "run " + child + " failed: task `a` failed");
  here.apply("name: fails\ntasks: [{name: a, run: 'true'}]\n");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry()));
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "fails").task().getState() == TaskState::SUCCEEDED);
  CHECK(child_of(here, run, "fails") != child);
}

TEST_CASE("a task's run is ended with it, tidies up first, and is waited for through a restart") {
  temporary_folder data;
  const std::string text = "name: calls\ntasks: [{name: call, pipeline: gated}]\n";
  std::string run;
  std::string other;
  {
    node here{data.path};
    here.apply(gated);
    run = here.submit(text);
    other = here.submit(text);
    here.wait_until_running(run, "call");
    here.wait_until_running(child_of(here, run, "call"), "gate");
    here.wait_until_running(other, "call");
    here.wait_until_running(child_of(here, other, "call"), "gate");
  }
  node here{data.path};
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
  CHECK(here.wait(run) == RunState::CANCELLED);
  CHECK(here.task(run, "call").task().getState() == TaskState::CANCELLED);
  const auto child = child_of(here, run, "call");
  CHECK(here.wait(child) == RunState::CANCELLED);
  CHECK(here.task(child, "tidy").task().getState() == TaskState::SUCCEEDED);

  const auto kept = child_of(here, other, "call");
  REQUIRE(here.silo->call(ref<schemas::Run>(kept).decide("gate", true, "", "ann")));
  CHECK(here.wait(other) == RunState::SUCCEEDED);

  const auto late =
      here.submit("name: late\ntasks: [{name: call, pipeline: gated, timeout: 50ms}]");
  CHECK(here.wait(late) == RunState::FAILED);
  CHECK(here.task(late, "call").task().getState() == TaskState::TIMED_OUT);
}

TEST_CASE("a pipeline that starts itself ends somewhere") {
  temporary_folder data;
  node here{data.path};
  auto run = here.submit("name: again\ntasks: [{name: self, pipeline: again}]\n");
  CHECK(here.wait(run) == RunState::FAILED);
  for (std::uint32_t depth = 0; depth < run_depth_max; ++depth) {
    run = child_of(here, run, "self");
  }
  CHECK(reason_of(here, run, "self").find("20 runs above its own already") != std::string::npos);
  const auto down = here.submit(R"yaml(name: down
params: {n: 3}
outputs: {steps: "${{ tasks.here.outputs.steps }}"}
tasks:
  - {name: below, pipeline: down, params: {n: 3}, when: "${{ params.n > 3 }}"}
  - {name: here, needs: [below], run_on: always, outputs: [steps],
     run: 'echo "steps=$MILLRACE_PARAM_N" >> "$MILLRACE_OUTPUT"'}
)yaml");
  CHECK(here.wait(down) == RunState::SUCCEEDED);
}

TEST_CASE("a run that cannot say what it promises has failed") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
outputs: {n: "${{ tasks.a.outputs.n }}"}
tasks: [{name: a, run: "true"}]
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(text_of(status_of(here, run).run().getReason()).find("outputs n: ") == 0);
}

}  // namespace millrace::actors
