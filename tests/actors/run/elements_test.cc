// SPDX-License-Identifier: MIT
// Needs of single instances, and a pipeline that ends with its first failure.
#include <doctest/doctest.h>

#include <string>

#include "played_run.h"

namespace millrace::actors {
namespace {

constexpr const char* pairs = R"(name: p
params: {list: [u, v, w]}
tasks:
  - {name: a, run: x, for_each: "${{ params.list }}", fail_fast: false, outputs: [k]}
  - name: b
    command: [say, "${{ tasks.a.outputs.k }} ${{ tasks.a.status }} ${{ tasks.a.exit_code }}"]
    for_each: "${{ params.list }}"
    needs: [{task: a, instances: same}]
    fail_fast: false
  - {name: join, run: x, needs: [b]}
)";

TEST_CASE("an instance starts when the one of its index has ended well, and reads it") {
  played_run run{pairs};
  CHECK(run.running() == names{"a[0]", "a[1]", "a[2]"});
  run.end("a[1]", task_state::SUCCEEDED, {{"k", "one"}}, {}, 0);
  CHECK(run.running() == names{"a[0]", "a[2]", "b[1]"});
  CHECK(run.graph_.arguments(run.running_.at("b[1]"))->at(1) == "one succeeded 0");
  run.come_back();
  CHECK(run.graph_.arguments(run.running_.at("b[1]"))->at(1) == "one succeeded 0");
  run.end("b[1]", task_state::SUCCEEDED);
  run.end("a[0]", task_state::FAILED);
  CHECK(run.settled_.at("b[0]") == task_state::UPSTREAM_FAILED);
  CHECK(run.reasons_.at("b[0]") == "needs a[0]: failed");
  run.come_back();
  run.end("a[2]", task_state::SUCCEEDED, {{"k", "two"}});
  CHECK(run.running() == names{"b[2]"});
  run.end("b[2]", task_state::SUCCEEDED);
  CHECK(run.settled_.at("join") == task_state::UPSTREAM_FAILED);
  CHECK(run.reasons_.at("join") == "needs b: upstream_failed, b[0] needs a[0]: failed");
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::FAILED);
  run.retry();
  CHECK(run.running() == names{"a[0]", "b[1]", "b[2]"});  // all of b, since it needs a
  run.end("a[0]", task_state::SUCCEEDED, {{"k", "zero"}});
  CHECK(run.running() == names{"b[0]", "b[1]", "b[2]"});
}

TEST_CASE("elements may go through several fan-outs, with bounds, and wait for others too") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x, for_each: [1, 2]}
  - {name: other, run: x}
  - name: b
    run: x
    for_each: [1, 2]
    needs: [{task: a, instances: same}, other]
  - {name: c, run: x, for_each: [1, 2], needs: [{task: b, instances: same}], max_parallel: 1}
)"};
  run.end("a[0]", task_state::SUCCEEDED);
  run.end("a[1]", task_state::SUCCEEDED);
  CHECK(run.running() == names{"other"});
  run.end("other", task_state::SUCCEEDED);
  CHECK(run.running() == names{"b[0]", "b[1]"});
  run.end("b[1]", task_state::SUCCEEDED);
  run.end("b[0]", task_state::SUCCEEDED);
  CHECK(run.running() == names{"c[1]"});
  run.come_back();
  run.end("c[1]", task_state::SUCCEEDED);
  CHECK(run.running() == names{"c[0]"});
  run.end("c[0]", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

TEST_CASE("a counterpart that was skipped, or failed within what is allowed, skips") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x, for_each: [1, 2, 3], when: "${{ item != 2 }}", allow_failures: true}
  - {name: b, run: x, for_each: [1, 2, 3], needs: [{task: a, instances: same}]}
)"};
  CHECK(run.settled_.at("b[1]") == task_state::SKIPPED);
  run.end("a[0]", task_state::FAILED);
  CHECK(run.settled_.at("b[0]") == task_state::SKIPPED);
  run.end("a[2]", task_state::SUCCEEDED);
  run.end("b[2]", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

TEST_CASE("lists of two lengths are told apart when they are known") {
  played_run run{R"(name: p
tasks:
  - {name: list, run: x, outputs: [k]}
  - {name: a, run: x, for_each: "${{ tasks.list.outputs.k }}", needs: [list]}
  - {name: b, run: x, for_each: [1, 2], needs: [list, {task: a, instances: same}]}
)"};
  run.end("list", task_state::SUCCEEDED, {{"k", "x"}});
  CHECK(run.settled_.at("b") == task_state::ERRORED);
  CHECK(run.reasons_.at("b") ==
        "`a` has 1 instances and this task 2: `instances: same` needs as many");
}

TEST_CASE("a stop, and a fan-out that was settled as a whole, reach what needs its elements") {
  played_run run{pairs};
  run.end("a[0]", task_state::SUCCEEDED, {{"k", "zero"}});
  run.stop();
  CHECK(run.cancelled_ == names{"a[1]", "a[2]", "b[0]"});
  CHECK(run.settled_.at("b[1]") == task_state::CANCELLED);

  played_run none{R"(name: p
params: {full: false}
tasks:
  - {name: a, run: x, for_each: [1], when: "${{ params.full }}"}
  - {name: b, run: x, for_each: [1], needs: [{task: a, instances: same}]}
)"};
  CHECK(none.settled_.at("b") == task_state::SKIPPED);
  CHECK(none.ended_);
}

TEST_CASE("without files both fan-outs start anew as far as they are unfinished") {
  played_run run{pairs};
  run.end("a[0]", task_state::SUCCEEDED, {{"k", "zero"}});
  run.end("b[0]", task_state::SUCCEEDED);
  run.lose_files();
  run.end("a[1]", task_state::CANCELLED);
  run.end("a[2]", task_state::CANCELLED);
  CHECK(run.running() == names{"a[0]", "a[1]", "a[2]"});
  run.end("a[0]", task_state::SUCCEEDED, {{"k", "zero"}});
  CHECK(run.running() == names{"a[1]", "a[2]", "b[0]"});
}

TEST_CASE("the first failure ends a pipeline that fails fast, but for what follows failures") {
  played_run run{R"(name: p
fail_fast: true
tasks:
  - {name: a, run: x, on_failure: x}
  - {name: b, run: x, finally: x}
  - {name: c, run: x, needs: [b]}
  - {name: later, run: x, needs: [c]}
  - {name: alert, run: x, needs: [a], run_on: failure}
  - {name: tidy, run: x, needs: [c], run_on: always}
  - {name: allowed, run: x, allow_failures: true}
on_failure: x
)"};
  run.end("allowed", task_state::FAILED);
  CHECK(run.cancelled_.empty());
  run.end("a", task_state::FAILED, {}, "exit code 3");
  CHECK(run.cancelled_ == names{"b"});
  CHECK(run.reasons_.at("b") == "a: failed, exit code 3 (`fail_fast` of the pipeline)");
  CHECK(run.running() == names{"a.on_failure", "alert", "b"});
  run.come_back();
  run.end("b", task_state::CANCELLED);
  CHECK(run.settled_.at("c") == task_state::CANCELLED);
  CHECK(run.settled_.at("later") == task_state::CANCELLED);
  CHECK(run.running() == names{"a.on_failure", "alert", "b.finally", "tidy"});
  for (const auto* each : {"a.on_failure", "alert", "b.finally", "tidy"}) {
    run.end(each, task_state::SUCCEEDED);
  }
  run.end("on_failure", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::FAILED);
  CHECK(run.graph_.failure_text() == "task `a` failed");
  run.retry();
  CHECK(run.running() == names{"a", "b"});
}

TEST_CASE("a failure before anything has started ends a pipeline that fails fast too") {
  played_run run{R"(name: p
fail_fast: true
tasks:
  - {name: a, run: x, for_each: [], on_empty: fail}
  - {name: b, run: x}
)"};
  CHECK(run.running().empty());
  CHECK(run.settled_.at("b") == task_state::CANCELLED);
  CHECK(run.ended_);
}

TEST_CASE("no_failure lets a task start after what was skipped") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, when: "false"}
  - {name: c, run: x, needs: [a, b], run_on: no_failure}
  - {name: d, run: x, needs: [c], run_on: no_failure}
)"};
  run.end("a", task_state::SUCCEEDED);
  CHECK(run.running() == names{"c"});
  run.end("c", task_state::FAILED);
  CHECK(run.settled_.at("d") == task_state::UPSTREAM_FAILED);
  CHECK(run.reasons_.at("d") == "needs c: failed (`run_on` is `no_failure`)");
}

}  // namespace
}  // namespace millrace::actors
