// SPDX-License-Identifier: MIT
// Tasks that make way for others of higher priority, on a real silo, with real processes.
#include <fstream>

#include "actors/pipeline/fixture.h"

namespace millrace::actors {
namespace {

using runtime::ref;
using schemas::AttemptEnd;
using schemas::RunState;
using schemas::TaskState;

struct one_slot : pipeline_host_options {
  one_slot() { slots = 1; }
};

// The project may preempt from `high` on.
void allow(node& here, std::int64_t from = 100) {
  schemas::project_interface::configure_params settings;
  settings.build().initSettings().setPreemptsFrom(from);
  REQUIRE(here.silo->call(ref<schemas::Project>("default").configure(std::move(settings))));
  node::eventually([&] {
    const auto pool = here.silo->call(ref<schemas::Pool>("default").status());
    auto is_told = false;
    for (auto each : pool ? pool->projects() : capnp::List<schemas::PoolShare>::Reader{}) {
      is_told = is_told || each.getPreemptsFrom() == from;
    }
    return is_told;
  });
}

void wait_for(const std::filesystem::path& file) {
  node::eventually([&] { return std::filesystem::exists(file); });
}

// A task that says when it is told to end, and goes on where it was when it is started again.
std::string resumable(const std::string& more) {
  return "{name: low, tasks: [{name: work, priority: low, " + more +
         ", run: 'if test -e mark; then echo resumed; exit 0; fi; trap \"touch mark; exit 3\" "
         "TERM; touch up; while :; do sleep 0.05 || :; done', stdout: said}]}";
}

std::string urgent(const std::string& name) {
  return "{name: " + name + ", tasks: [{name: page, priority: high, run: 'true'}]}";
}

TEST_CASE("a task makes way, waits again in its place, and goes on") {
  temporary_folder data;
  node here{data.path, one_slot{}};
  allow(here);
  const auto low = here.submit(resumable("grace_period: 30s"));
  here.wait_until_running(low, "work");
  wait_for(data.path / "workspaces" / low / "up");
  const auto high = here.submit(urgent("high"));
  CHECK(here.wait(high) == RunState::SUCCEEDED);
  CHECK(here.wait(low) == RunState::SUCCEEDED);
  const auto work = attempts_of(*here.silo, low, "work");
  REQUIRE(work.attempts().size() == 2);
  const auto why = "preempted by 'page' of run " + high + ", priority 100";
  CHECK(work.attempts()[0].getEnd() == AttemptEnd::PREEMPTED);
  CHECK(work.attempts()[0].getText() == why.c_str());
  CHECK(work.attempts()[1].getEnd() == AttemptEnd::EXITED);
  CHECK(here.task(low, "work").task().getOutputs()[0].getValue() == "resumed");
  CHECK(here.follow(low, [&](auto event) {
    return event.getName() == "work" && event.getReason() == why.c_str() && event.getAttempt() == 2;
  }));
  const auto pool = here.silo->call(ref<schemas::Pool>("default").status());
  REQUIRE(pool);
  CHECK(pool->preempting() == 0);
  CHECK(here.host->preemptions() == 1);
}

TEST_CASE("a task that ignores the order is killed after its grace period") {
  temporary_folder data;
  node here{data.path, one_slot{}};
  allow(here);
  const auto low = here.submit(
      "{name: low, tasks: [{name: deaf, priority: low, preemptible: cancel, grace_period: 200ms, "
      "run: 'trap \"\" TERM; touch up; while :; do sleep 0.05 || :; done'}]}");
  here.wait_until_running(low, "deaf");
  wait_for(data.path / "workspaces" / low / "up");
  const auto high = here.submit(urgent("high"));
  CHECK(here.wait(high) == RunState::SUCCEEDED);
  CHECK(here.wait(low) == RunState::FAILED);
  const auto deaf = attempts_of(*here.silo, low, "deaf");
  REQUIRE(deaf.attempts().size() == 1);
  CHECK(deaf.state() == TaskState::CANCELLED);
  CHECK(std::string{deaf.reason()} == "preempted by 'page' of run " + high + ", priority 100");
  CHECK(deaf.attempts()[0].getEnd() == AttemptEnd::PREEMPTED);
  CHECK(std::string{deaf.attempts()[0].getText().cStr()}.ends_with(
      ", priority 100, and needed a KILL 200ms later (grace_period)"));
}

TEST_CASE("what may not be started twice, or says so, is let be") {
  temporary_folder data;
  node here{data.path, one_slot{}};
  allow(here);
  for (const auto* key : {"preemptible: never", "retry: never"}) {
    CAPTURE(key);
    const auto low =
        here.submit("{name: low, tasks: [{name: once, priority: low, " + std::string{key} +
                    ", run: 'while test ! -e go; do sleep 0.05 || :; done'}]}");
    here.wait_until_running(low, "once");
    const auto high = here.submit(urgent("high"));
    node::eventually([&] {
      const auto pool = here.silo->call(ref<schemas::Pool>("default").status());
      return pool && pool->waiting() == 1;
    });
    CHECK(here.host->preemptions() == 0);
    std::ofstream{data.path / "workspaces" / low / "go"} << '\n';
    CHECK(here.wait(low) == RunState::SUCCEEDED);
    CHECK(here.wait(high) == RunState::SUCCEEDED);
    CHECK(here.task(low, "once").task().getAttempt() == 1);
  }
}

TEST_CASE("a task whose run is cancelled while it makes way ends, and who it was for goes on") {
  temporary_folder data;
  node here{data.path, one_slot{}};
  allow(here);
  const auto low = here.submit(
      "{name: low, tasks: [{name: slow, priority: low, grace_period: 60s, run: 'trap \"touch "
      "told\" "
      "TERM; touch up; while test ! -e go; do sleep 0.05 || :; done; exit 1'}]}");
  here.wait_until_running(low, "slow");
  wait_for(data.path / "workspaces" / low / "up");
  const auto high = here.submit(urgent("high"));
  const auto workspace = data.path / "workspaces" / low;
  wait_for(workspace / "told");
  CHECK(here.silo->call(ref<schemas::Run>(low).cancel("enough", false)));
  std::ofstream{workspace / "go"} << '\n';
  CHECK(here.wait(low) == RunState::CANCELLED);
  CHECK(here.task(low, "slow").task().getAttempt() == 1);
  CHECK(here.wait(high) == RunState::SUCCEEDED);
}

TEST_CASE("one that is cancelled while another makes way for it starts nothing") {
  temporary_folder data;
  node here{data.path, one_slot{}};
  allow(here);
  const auto low = here.submit(
      "{name: low, tasks: [{name: slow, priority: low, grace_period: 60s, run: 'test ! -e go || "
      "exit 0; trap \"touch told\" TERM; touch up; while test ! -e go; do sleep 0.05 || :; done; "
      "exit "
      "1'}]}");
  here.wait_until_running(low, "slow");
  wait_for(data.path / "workspaces" / low / "up");
  const auto high =
      here.submit("{name: high, tasks: [{name: page, priority: high, run: touch x}]}");
  const auto workspace = data.path / "workspaces" / low;
  wait_for(workspace / "told");
  CHECK(here.silo->call(ref<schemas::Run>(high).cancel("enough", false)));
  CHECK(here.wait(high) == RunState::CANCELLED);
  CHECK(attempts_of(*here.silo, high, "page").attempts()[0].getStartedAt() == 0);
  CHECK(here.task(low, "slow").task().getAttempt() == 1);  // it still makes way
  std::ofstream{workspace / "go"} << '\n';
  CHECK(here.wait(low) == RunState::SUCCEEDED);
  CHECK(here.task(low, "slow").task().getAttempt() == 2);
}

TEST_CASE("a task makes way so often and no more") {
  temporary_folder data;
  node here{data.path, one_slot{}};
  allow(here);
  const auto low = here.submit(
      "{name: low, tasks: [{name: slow, priority: low, grace_period: 0, run: 'while test ! -e go; "
      "do sleep 0.02; done'}]}");
  for (std::uint32_t attempt = 1; attempt <= 5; ++attempt) {
    REQUIRE(here.follow(low, [&](auto event) {
      return event.getState() == TaskState::RUNNING && event.getAttempt() == attempt;
    }));
    CHECK(here.wait(here.submit(urgent("high"))) == RunState::SUCCEEDED);
  }
  REQUIRE(here.follow(low, [&](auto event) {
    return event.getState() == TaskState::RUNNING && event.getAttempt() == 6;
  }));
  const auto high = here.submit(urgent("high"));
  node::eventually([&] {
    const auto pool = here.silo->call(ref<schemas::Pool>("default").status());
    return pool && pool->waiting() == 1;
  });
  CHECK(here.host->preemptions() == 5);
  std::ofstream{data.path / "workspaces" / low / "go"} << '\n';
  CHECK(here.wait(low) == RunState::SUCCEEDED);
  CHECK(here.wait(high) == RunState::SUCCEEDED);
}

TEST_CASE("what makes way outlives the silo") {
  temporary_folder data;
  std::string low;
  std::string high;
  {
    node here{data.path, one_slot{}};
    allow(here);
    low = here.submit(
        "{name: low, tasks: [{name: slow, priority: low, grace_period: 60s, run: 'test ! -e told "
        "|| "
        "exit 0; trap \"touch told\" TERM; touch up; while :; do sleep 0.05 || :; done'}]}");
    here.wait_until_running(low, "slow");
    wait_for(data.path / "workspaces" / low / "up");
    high = here.submit(urgent("high"));
    wait_for(data.path / "workspaces" / low / "told");
  }
  node here{data.path, one_slot{}};
  CHECK(here.wait(high) == RunState::SUCCEEDED);
  CHECK(here.wait(low) == RunState::SUCCEEDED);
  CHECK(here.task(low, "slow").task().getAttempt() == 2);
  node::eventually([&] {  // it hears of the end a moment later
    const auto pool = here.silo->call(ref<schemas::Pool>("default").status());
    return pool && pool->preempting() + pool->running() + pool->waiting() == 0;
  });
}

}  // namespace
}  // namespace millrace::actors
