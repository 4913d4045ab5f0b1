// SPDX-License-Identifier: MIT
// Hooks: which of them start after which end, in stops, restarts, retries and losses of files.
#include <doctest/doctest.h>

#include <string>

#include "played_run.h"

namespace millrace::actors {
namespace {

constexpr const char* every_hook = R"(name: p
tasks:
  - {name: a, run: x, retry: 1, on_success: x, on_failure: x, on_cancel: x, finally: x}
  - {name: b, run: x, needs: [a]}
on_success: x
on_failure: x
on_cancel: x
finally: x
)";

TEST_CASE("a task that has succeeded starts its hooks, the last one after the other") {
  played_run run{every_hook};
  run.end("a", task_state::SUCCEEDED);
  CHECK(run.running() == names{"a.on_success", "b"});  // which does not wait for the hook
  CHECK(run.settled_.at("a.on_failure") == task_state::SKIPPED);
  CHECK(run.reasons_.at("a.on_failure") == "a: succeeded");
  CHECK(run.settled_.at("a.on_cancel") == task_state::SKIPPED);
  run.end("a.on_success", task_state::SUCCEEDED);
  CHECK(run.running() == names{"a.finally", "b"});
  run.end("b", task_state::SUCCEEDED);
  CHECK(run.running() == names{"a.finally"});  // those of the run wait for all
  run.come_back();
  run.end("a.finally", task_state::SUCCEEDED);
  CHECK(run.running() == names{"on_success"});
  CHECK(run.reasons_.at("on_failure") == "the run: succeeded");
  run.end("on_success", task_state::SUCCEEDED);
  run.come_back();
  run.end("finally", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

TEST_CASE("every kind of failure starts on_failure, also one that is allowed") {
  for (const auto how :
       {task_state::FAILED, task_state::ERRORED, task_state::TIMED_OUT, task_state::LOST}) {
    played_run run{every_hook};
    run.end("a", how, {}, "exit code 3", 3);
    CHECK(run.running() == names{"a.on_failure"});
    run.end("a.on_failure", task_state::SUCCEEDED);
    run.end("a.finally", task_state::SUCCEEDED);
    CHECK(run.running() == names{"on_failure"});
    run.end("on_failure", task_state::SUCCEEDED);
    run.end("finally", task_state::SUCCEEDED);
    CHECK(run.ended_);
    CHECK(run.graph_.outcome() == run_state::FAILED);
    CHECK(run.settled_.at("on_success") == task_state::SKIPPED);
  }
  played_run allowed{R"(name: p
tasks:
  - {name: a, run: x, allow_failures: true, on_success: x, on_failure: x}
on_success: x
)"};
  allowed.end("a", task_state::FAILED);
  CHECK(allowed.running() == names{"a.on_failure"});
  allowed.end("a.on_failure", task_state::SUCCEEDED);
  CHECK(allowed.running() == names{"on_success"});
}

TEST_CASE("what never started has no hooks") {
  played_run run{R"(name: p
params: {full: false}
tasks:
  - {name: fails, run: x}
  - {name: upstream, run: x, needs: [fails], on_failure: x, finally: x}
  - {name: skipped, run: x, when: "${{ params.full }}", on_success: x, finally: x}
  - {name: waits, run: x, needs: [fails], run_on: any, on_cancel: x, finally: x}
)"};
  CHECK(run.settled_.at("skipped.finally") == task_state::SKIPPED);
  CHECK(run.reasons_.at("skipped.finally") == "skipped: skipped, its condition is false");
  run.stop();
  run.end("fails", task_state::CANCELLED);
  for (const auto* each : {"upstream.on_failure", "upstream.finally", "waits.on_cancel"}) {
    CHECK(run.settled_.at(each) == task_state::SKIPPED);
  }
  CHECK(run.ended_);
}

TEST_CASE("a cancelled run tidies up after what had started, then after itself") {
  played_run run{every_hook};
  run.stop();
  CHECK(run.cancelled_ == names{"a"});
  run.come_back();
  run.end("a", task_state::CANCELLED);
  CHECK(run.running() == names{"a.on_cancel"});
  CHECK(run.settled_.at("b") == task_state::CANCELLED);
  run.come_back();
  run.end("a.on_cancel", task_state::SUCCEEDED);
  run.end("a.finally", task_state::SUCCEEDED);
  CHECK(run.running() == names{"on_cancel"});
  CHECK(run.graph_.hook_environment(run.running_.at("on_cancel").task).at("MILLRACE_HOOK_STATE") ==
        "cancelled");
  run.end("on_cancel", task_state::FAILED);
  run.end("finally", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::CANCELLED);
  CHECK(run.graph_.hook_failure_text() == "hook `on_cancel` failed");

  played_run queued{every_hook};
  queued.stop();
  queued.end("a", task_state::CANCELLED, {}, {}, no_exit_code, attempted::no);
  CHECK(queued.settled_.at("a.on_cancel") == task_state::SKIPPED);
  CHECK(queued.running() == names{"on_cancel"});
}

TEST_CASE("a run out of time has failed for its hooks, and what it cut short was cancelled") {
  played_run run{every_hook};
  run.stop(stop_reach::ordinary, run_state::TIMED_OUT);
  run.end("a", task_state::CANCELLED);
  run.end("a.on_cancel", task_state::SUCCEEDED);
  run.end("a.finally", task_state::SUCCEEDED);
  CHECK(run.running() == names{"on_failure"});
  CHECK(run.graph_.outcome() == run_state::TIMED_OUT);
}

TEST_CASE("a stop leaves hooks alone, force ends them") {
  played_run run{every_hook};
  run.end("a", task_state::SUCCEEDED);
  run.stop();
  CHECK(run.cancelled_ == names{"b"});
  CHECK(run.running() == names{"a.on_success", "b"});
  run.stop(stop_reach::everything);
  CHECK(run.cancelled_ == names{"a.on_success", "b"});
  run.end("b", task_state::CANCELLED);
  run.come_back();
  run.end("a.on_success", task_state::CANCELLED);
  for (const auto* each : {"a.finally", "on_cancel", "finally"}) {
    CHECK(run.settled_.at(each) == task_state::CANCELLED);
  }
  CHECK(run.ended_);
}

TEST_CASE("a failed hook fails the run and leaves its task as it is") {
  played_run run{every_hook};
  run.end("a", task_state::SUCCEEDED);
  run.end("b", task_state::SUCCEEDED);
  run.end("a.on_success", task_state::FAILED);
  run.end("a.finally", task_state::SUCCEEDED);
  CHECK(run.running() == names{"on_failure"});
  const auto told = run.graph_.hook_environment(run.running_.at("on_failure").task);
  CHECK(told.at("MILLRACE_HOOK") == "on_failure");
  CHECK(told.at("MILLRACE_HOOK_STATE") == "failed");
  CHECK(told.at("MILLRACE_HOOK_REASON") == "hook `a.on_success` failed");
  CHECK(told.at("MILLRACE_HOOK_FAILED_TASKS") == "a.on_success");
  CHECK_FALSE(told.contains("MILLRACE_HOOK_TASK"));
  run.end("on_failure", task_state::SUCCEEDED);
  run.end("finally", task_state::SUCCEEDED);
  CHECK(run.graph_.outcome() == run_state::FAILED);
  CHECK(run.graph_.failure_text() == "hook `a.on_success` failed");
  run.retry();
  CHECK(run.running() == names{"a.on_success"});  // alone
}

TEST_CASE("a hook is told what it follows, and its expressions see it") {
  played_run run{R"(name: p
tasks:
  - name: a
    run: x
    on_failure: {command: [say, "${{ tasks.a.status }} ${{ tasks.a.exit_code }}"]}
  - {name: b, run: x}
on_failure:
  command: [say, "${{ run.state }}: ${{ run.reason }}: ${{ join(run.failed_tasks, ',') }}"]
)"};
  run.end("a", task_state::FAILED, {}, "exit code 3\nand more", 3);
  const auto hook = run.running_.at("a.on_failure");
  CHECK(run.graph_.arguments(hook)->at(1) == "failed 3");
  CHECK(run.graph_.hook_environment(hook.task) ==
        std::map<std::string, std::string>{{"MILLRACE_HOOK", "on_failure"},
                                           {"MILLRACE_HOOK_TASK", "a"},
                                           {"MILLRACE_HOOK_STATE", "failed"},
                                           {"MILLRACE_HOOK_REASON", "exit code 3 and more"}});
  CHECK(run.graph_.hook_environment(run.running_.at("b").task).empty());
  run.end("b", task_state::TIMED_OUT);
  run.end("a.on_failure", task_state::SUCCEEDED);
  CHECK(run.graph_.arguments(run.running_.at("on_failure"))->at(1) ==
        "failed: task `a` failed: a,b");
}

TEST_CASE("the hooks of a fan-out follow it once, as a whole") {
  played_run run{R"(name: p
tasks:
  - {name: t, run: x, for_each: [1, 2], on_failure: x, finally: x}
  - {name: none, run: x, for_each: [], on_success: x}
)"};
  CHECK(run.running() == names{"none.on_success", "t[0]", "t[1]"});
  run.end("t[0]", task_state::FAILED);
  CHECK(run.running() == names{"none.on_success", "t[1]"});
  run.end("t[1]", task_state::CANCELLED);
  CHECK(run.running() == names{"none.on_success", "t.on_failure"});
}

TEST_CASE("what starts again has its hooks started again, and the run has its own") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x, on_success: x}
  - {name: b, run: x, needs: [a], on_failure: x, finally: x}
finally: x
)"};
  run.end("a", task_state::SUCCEEDED);
  run.end("a.on_success", task_state::SUCCEEDED);
  run.end("b", task_state::FAILED);
  run.end("b.on_failure", task_state::SUCCEEDED);
  run.end("b.finally", task_state::SUCCEEDED);
  run.end("finally", task_state::SUCCEEDED);
  REQUIRE(run.ended_);
  run.retry();
  CHECK(run.running() == names{"b"});
  run.come_back();
  run.end("b", task_state::SUCCEEDED);
  CHECK(run.running() == names{"b.finally"});
  run.end("b.finally", task_state::SUCCEEDED);
  CHECK(run.running() == names{"finally"});
  run.end("finally", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

// Goal: a hook that is left to do does not bring back work, and one that was done is done again
// with what it follows.
TEST_CASE("without files a hook needs nothing, and starts anew with what starts anew") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x, on_success: x}
  - {name: b, run: x, needs: [a]}
  - {name: other, run: x}
finally: x
)"};
  run.end("other", task_state::SUCCEEDED);
  run.end("a", task_state::SUCCEEDED);
  run.end("a.on_success", task_state::SUCCEEDED);
  run.lose_files();
  run.end("b", task_state::CANCELLED);
  CHECK(run.running() == names{"a"});  // for b; `finally` alone would want `other` too
  run.end("a", task_state::SUCCEEDED);
  CHECK(run.running() == names{"a.on_success", "b"});
  run.end("a.on_success", task_state::SUCCEEDED);
  run.end("b", task_state::SUCCEEDED);
  run.lose_files();
  CHECK(run.running() == names{"finally"});
  run.end("finally", task_state::CANCELLED);
  CHECK(run.running() == names{"finally"});
}

}  // namespace
}  // namespace millrace::actors
