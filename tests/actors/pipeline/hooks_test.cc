// SPDX-License-Identifier: MIT
// Hooks with real commands: what they are told, and how a cancelled run ends with them.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fixture.h"

namespace millrace::actors {
namespace {

namespace fs = std::filesystem;
using runtime::ref;
using schemas::RunState;
using schemas::TaskState;

std::string content_of(const fs::path& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

TEST_CASE("hooks run as tasks of their own and are told what they follow") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: hooked
tasks:
  - name: build
    run: exit 3
    on_success: touch never
    on_failure: env | grep ^MILLRACE_HOOK | sort > told
    finally: {command: [cp, told, "after-${{ tasks.build.exit_code }}"]}
on_failure: env | grep ^MILLRACE_HOOK | sort > of_run
finally: {command: [touch, "${{ run.state }}"]}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "build").task().getState() == TaskState::FAILED);
  CHECK(here.task(run, "build.on_success").task().getState() == TaskState::SKIPPED);
  CHECK(here.task(run, "build.on_failure").task().getState() == TaskState::SUCCEEDED);
  const auto workspace = here.host->workspace_of(run);
  CHECK(content_of(workspace / "told") ==
        "MILLRACE_HOOK=on_failure\nMILLRACE_HOOK_REASON=exit code 3\nMILLRACE_HOOK_STATE=failed\n"
        "MILLRACE_HOOK_TASK=build\n");
  CHECK(content_of(workspace / "of_run") ==
        "MILLRACE_HOOK=on_failure\nMILLRACE_HOOK_FAILED_TASKS=build\n"
        "MILLRACE_HOOK_REASON=task `build` failed\nMILLRACE_HOOK_STATE=failed\n");
  CHECK(fs::exists(workspace / "after-3"));
  CHECK(fs::exists(workspace / "failed"));
  CHECK_FALSE(fs::exists(workspace / "never"));

  const auto again = here.silo->call(ref<schemas::Run>(run).retry_from("", true));
  REQUIRE(again);
  std::string names;
  for (const auto name : again->names()) {
    names += std::string{name} + " ";
  }
  CHECK(names == "build build.on_success build.on_failure build.finally on_failure finally ");
}

// Goal: a cancelled run tidies up through a restart, and says so when that fails; force ends it.
TEST_CASE("a cancelled run runs its hooks, through a restart, and names one that failed") {
  temporary_folder data;
  std::string run;
  const std::string text = R"yaml(name: tidy
tasks:
  - name: a
    run: sleep 600
    grace_period: 10ms
    on_cancel: {run: "test -e slow || { touch slow; sleep 600; }; touch tidied", grace_period: 10ms}
  - {name: b, needs: [a], run: echo, on_cancel: touch never}
finally: test "$MILLRACE_HOOK_STATE" != cancelled
)yaml";
  {
    node here{data.path};
    run = here.submit(text);
    here.wait_until_running(run, "a");
    REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
    here.wait_until_running(run, "a.on_cancel");
    here.eventually([&] { return fs::exists(here.host->workspace_of(run) / "slow"); });
  }
  node here{data.path};
  CHECK(here.wait(run) == RunState::CANCELLED);
  CHECK(fs::exists(here.host->workspace_of(run) / "tidied"));
  CHECK_FALSE(fs::exists(here.host->workspace_of(run) / "never"));
  CHECK(here.task(run, "a").task().getState() == TaskState::CANCELLED);
  CHECK(here.task(run, "b.on_cancel").task().getState() == TaskState::SKIPPED);
  CHECK(here.task(run, "finally").task().getState() == TaskState::FAILED);
  const auto status = here.silo->call(ref<schemas::Run>(run).status());
  CHECK(status->run().getReason() == "enough; hook `finally` failed");

  const auto forced = here.submit(text);
  here.wait_until_running(forced, "a");
  REQUIRE(here.silo->call(ref<schemas::Run>(forced).cancel("enough", false)));
  here.wait_until_running(forced, "a.on_cancel");
  REQUIRE(here.silo->call(ref<schemas::Run>(forced).cancel("at once", true)));
  CHECK(here.wait(forced) == RunState::CANCELLED);
  CHECK(here.task(forced, "a.on_cancel").task().getState() == TaskState::CANCELLED);
  CHECK(here.task(forced, "finally").task().getState() == TaskState::CANCELLED);
}

TEST_CASE("an approval that is refused has hooks too") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: asks
tasks:
  - {name: gate, approval: "Go on?", on_failure: "test $MILLRACE_HOOK_STATE = failed"}
)yaml");
  here.wait_until_running(run, "gate");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).decide("gate", false, "no", "anna")));
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "gate.on_failure").task().getState() == TaskState::SUCCEEDED);
}

}  // namespace
}  // namespace millrace::actors
