// SPDX-License-Identifier: MIT
// The fate of a task, without actors: retries, losses, cancellation, late and repeated reports.
#include "task/task_attempts.h"

#include <doctest/doctest.h>

#include <random>

#include "millrace/actors/process_outputs.h"
#include "run/run_graph.h"

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;
using schemas::AttemptEnd;
using schemas::Preemptible;
using schemas::TaskState;

task_attempts running(retry_policy policy = {}) {
  task_attempts task{{}, policy};
  CHECK(task.begin().enqueue);
  CHECK(task.wants(1));
  CHECK(task.started(1, "e").reported);
  CHECK(task.row().state == TaskState::RUNNING);
  CHECK(task.row().executor == "e");
  return task;
}

constexpr task_effects nothing{};

TEST_CASE("an attempt is queued, started and adopted") {
  auto task = running();
  const auto effects = task.finished(1, AttemptEnd::EXITED, 0, "exit code 0", 0);
  CHECK(effects.adopted);
  CHECK(effects.release);
  CHECK(effects.reported);
  CHECK(task.row().state == TaskState::SUCCEEDED);
  CHECK(task.row().executor.empty());
}

TEST_CASE("a kept result ends an attempt before it is queued; without one it is") {
  const auto looking = [] {
    task_attempts task{{}, {}};
    const auto effects = task.begin(task_attempts::kept_result::wanted);
    CHECK(effects.look_up);
    CHECK_FALSE(effects.enqueue);
    CHECK(task.row().state == TaskState::QUEUED);
    CHECK(task.row().attempt == 1);
    CHECK_FALSE(task.wants(1));
    CHECK(task.finished(1, AttemptEnd::LOST, -1, "", 0) == nothing);  // nobody has it
    CHECK(task.start_overdue("") == nothing);
    return task;
  };
  auto hit = looking();
  CHECK(hit.took_kept("of R") == task_effects{.changed = true, .reported = true});
  CHECK(hit.row().state == TaskState::SUCCEEDED);
  CHECK(hit.row().reason == "of R");
  CHECK(hit.took_kept("again") == nothing);
  CHECK(hit.missed() == nothing);

  auto miss = looking();
  CHECK(miss.missed() == task_effects{.changed = true, .reported = true, .enqueue = true});
  CHECK(miss.missed() == nothing);
  CHECK(miss.took_kept("late") == nothing);
  CHECK(miss.wants(1));
  CHECK(miss.row().reason.empty());

  auto cancelled = looking();
  CHECK(cancelled.cancel("enough") ==
        task_effects{.changed = true, .reported = true, .forget_retry = true});
  CHECK(cancelled.row().state == TaskState::CANCELLED);
  CHECK(cancelled.took_kept("late") == nothing);
  CHECK(cancelled.missed() == nothing);
}

TEST_CASE("an end stays the end, and reports of earlier attempts are ignored") {
  auto task = running({.max_attempts = 2});
  CHECK(task.finished(1, AttemptEnd::EXITED, 3, "exit code 3", 0).retry_after);
  CHECK(task.finished(1, AttemptEnd::EXITED, 0, "", 0) == nothing);
  CHECK(task.retry_due().enqueue);
  CHECK(task.retry_due() == nothing);
  CHECK_FALSE(task.wants(1));
  CHECK(task.started(1, "late") == nothing);
  CHECK(task.wants(2));
  CHECK(task.started(2, "e").changed);
  CHECK_FALSE(task.wants(2));
  CHECK(task.started(2, "other") == nothing);
  CHECK(task.finished(1, AttemptEnd::EXITED, 0, "", 0) == nothing);
  CHECK(task.finished(2, AttemptEnd::EXITED, 0, "", 0).adopted);
  const auto end = task.row();
  CHECK(task.finished(2, AttemptEnd::LOST, -1, "", 0) == nothing);
  CHECK(task.cancel("late") == nothing);
  CHECK(task.started(2, "e") == nothing);
  CHECK_FALSE(task.wants(2));
  CHECK(task.row() == end);
}

TEST_CASE("failures are tried again with growing delays until the attempts are used up") {
  auto task = running({.max_attempts = 3, .delay = 1s, .backoff = 2.0, .jitter = 0});
  CHECK(task.finished(1, AttemptEnd::SIGNALLED, -1, "killed", 0).retry_after == 1s);
  CHECK(task.row().reason == "killed; next attempt in 1s");
  CHECK(task.retry_due().changed);
  CHECK(task.started(2, "e").changed);
  CHECK(task.finished(2, AttemptEnd::TIMED_OUT, -1, "timed out", 0).retry_after == 2s);
  CHECK(task.retry_due().changed);
  const auto last = task.finished(3, AttemptEnd::NOT_STARTED, -1, "no such program", 0);
  CHECK_FALSE(last.retry_after);
  CHECK(last.release);
  CHECK(task.row().state == TaskState::ERRORED);
  CHECK(task.row().reason == "no such program");
}

TEST_CASE("other exit codes than 0 are a success where the task says so") {
  const auto finished = [](AttemptEnd how, std::int32_t exit_code) {
    task_attempts task{{}, {}, {3, 137}};
    CHECK(task.begin().enqueue);
    CHECK(task.started(1, "e").changed);
    const auto adopted = task.finished(1, how, exit_code, "", 0).adopted;
    CHECK(adopted == (task.row().state == TaskState::SUCCEEDED));
    return task.row().state;
  };
  CHECK(finished(AttemptEnd::EXITED, 3) == TaskState::SUCCEEDED);
  CHECK(finished(AttemptEnd::EXITED, 137) == TaskState::SUCCEEDED);
  CHECK(finished(AttemptEnd::EXITED, 0) == TaskState::FAILED);
  CHECK(finished(AttemptEnd::SIGNALLED, 137) == TaskState::FAILED);
}

TEST_CASE("what an attempt waits for before it starts is said, and until then") {
  task_attempts task{{}, {}};
  CHECK(task.begin().enqueue);
  CHECK(task.waits(1, "waits for more") == task_effects{.changed = true, .reported = true});
  CHECK(task.row().reason == "waits for more");
  CHECK(task.waits(1, "waits for more") == nothing);
  CHECK(task.waits(2, "other") == nothing);
  CHECK(task.started(1, "e").changed);
  CHECK(task.row().reason.empty());
  CHECK(task.waits(1, "late") == nothing);
  CHECK(task.cancel("enough").kill);
  CHECK(task.waits(1, "late") == nothing);
  CHECK(task.row().reason == "enough");
}

TEST_CASE("an attempt that does not start in time is ended, and there is no other") {
  task_attempts task{{}, {.max_attempts = 3}};
  CHECK(task.begin().enqueue);
  const auto overdue = task.start_overdue("did not start within 1s");
  CHECK(overdue.kill);
  CHECK_FALSE(overdue.reported);
  CHECK_FALSE(task.wants(1));
  CHECK(task.start_overdue("again") == nothing);
  CHECK(task.cancel("enough") == nothing);
  CHECK(task.row().state == TaskState::QUEUED);
  const auto ended = task.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0);
  CHECK(ended.release);
  CHECK_FALSE(ended.retry_after);
  CHECK(task.row().state == TaskState::TIMED_OUT);
  CHECK(task.row().reason == "did not start within 1s");
  CHECK(task.begin().enqueue);  // the run is retried
  CHECK(task.wants(2));
  CHECK_FALSE(task.row().overdue);
}

TEST_CASE("an attempt that starts while it is ended for not starting ends all the same") {
  task_attempts task{{}, {}};
  CHECK(task.begin().enqueue);
  CHECK(task.start_overdue("late").kill);
  CHECK(task.started(1, "e").reported);
  CHECK(task.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0).release);
  CHECK(task.row().state == TaskState::TIMED_OUT);

  task_attempts faster{{}, {}};
  CHECK(faster.begin().enqueue);
  CHECK(faster.start_overdue("late").kill);
  CHECK(faster.finished(1, AttemptEnd::EXITED, 0, "", 0).adopted);
  CHECK(faster.row().state == TaskState::SUCCEEDED);
}

TEST_CASE("the wait for a start goes on after an attempt that never started") {
  task_attempts task{{}, {}};
  CHECK_FALSE(task.begin().waits_on);
  CHECK(task.finished(1, AttemptEnd::DROPPED, -1, "", 0).waits_on);
  CHECK_FALSE(task.finished(2, AttemptEnd::LOST, -1, "", 0).waits_on);
  CHECK(task.started(3, "e").changed);
  CHECK_FALSE(task.finished(3, AttemptEnd::DROPPED, -1, "", 0).waits_on);
}

TEST_CASE("only an attempt that is queued can be late") {
  auto task = running();
  CHECK(task.start_overdue("late") == nothing);
  CHECK(task.finished(1, AttemptEnd::EXITED, 0, "", 0).adopted);
  CHECK(task.start_overdue("late") == nothing);
  task_attempts cancelled{{}, {}};
  CHECK(cancelled.begin().enqueue);
  CHECK(cancelled.cancel("enough").kill);
  CHECK(cancelled.start_overdue("late") == nothing);
  CHECK(cancelled.finished(1, AttemptEnd::CANCELLED, -1, "", 0).release);
  CHECK(cancelled.row().state == TaskState::CANCELLED);
}

TEST_CASE("outputs that are too large are not tried again, others that are wrong are") {
  const retry_policy thrice{.max_attempts = 3};
  CHECK(running(thrice).finished(1, AttemptEnd::BAD_OUTPUTS, 0, "wrote none", 0).retry_after);
  auto large = running(thrice);
  const std::string why =
      "$MILLRACE_OUTPUT: " + check_output_value(std::string(70'000, 'x')).error().text();
  CHECK_FALSE(large.finished(1, AttemptEnd::BAD_OUTPUTS, 0, why, 0).retry_after);
  CHECK(large.row().state == TaskState::FAILED);
  CHECK(large.row().reason == why + ", after which it is not retried");
}

TEST_CASE("only the exit codes that the policy names are tried again") {
  const retry_policy some{.max_attempts = 3, .on_exit = {75, 137}};
  CHECK(running(some).finished(1, AttemptEnd::EXITED, 75, "exit code 75", 0).retry_after);
  CHECK(running(some).finished(1, AttemptEnd::SIGNALLED, 137, "killed", 0).retry_after);
  CHECK(running(some).finished(1, AttemptEnd::TIMED_OUT, -1, "timed out", 0).retry_after);
  CHECK(running(some).finished(1, AttemptEnd::NOT_STARTED, -1, "no", 0).retry_after);
  auto other = running(some);
  CHECK_FALSE(other.finished(1, AttemptEnd::EXITED, 1, "exit code 1", 0).retry_after);
  CHECK(other.row().state == TaskState::FAILED);
  CHECK(other.row().reason == "exit code 1, after which it is not retried");

  const retry_policy most{.max_attempts = 2, .not_on_exit = {2}};
  CHECK(running(most).finished(1, AttemptEnd::EXITED, 1, "exit code 1", 0).retry_after);
  CHECK_FALSE(running(most).finished(1, AttemptEnd::EXITED, 2, "exit code 2", 0).retry_after);
  auto last = running({.max_attempts = 1, .not_on_exit = {2}});
  CHECK_FALSE(last.finished(1, AttemptEnd::EXITED, 2, "exit code 2", 0).retry_after);
  CHECK(last.row().reason == "exit code 2");
}

TEST_CASE("a lost attempt is made again at once and does not count") {
  auto task = running();
  const auto effects = task.finished(1, AttemptEnd::LOST, -1, "its executor went away", 0);
  CHECK(effects.enqueue);
  CHECK(effects.release);
  CHECK(task.row().attempt == 2);
  CHECK(task.row().failures == 0);
  CHECK(task.started(2, "e").changed);
  CHECK(task.finished(2, AttemptEnd::EXITED, 1, "exit code 1", 0).reported);
  CHECK(task.row().state == TaskState::FAILED);
}

TEST_CASE("an attempt that the system ended by itself is made again") {
  auto task = running();
  CHECK(task.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0).enqueue);
}

TEST_CASE("a lost attempt is left to a person where the policy says so") {
  auto task = running({.on_lost = lost_attempt::give_up});
  CHECK(task.finished(1, AttemptEnd::LOST, -1, "its executor went away", 0).reported);
  CHECK(task.row().state == TaskState::LOST);
}

TEST_CASE("whoever cancels it does not know how a lost attempt ended either") {
  auto task = running({.on_lost = lost_attempt::give_up});
  CHECK(task.cancel("enough").kill);
  CHECK(task.finished(1, AttemptEnd::LOST, -1, "its executor went away", 0).reported);
  CHECK(task.row().state == TaskState::LOST);
}

TEST_CASE("an attempt that never started is made again whatever the policy says of lost ones") {
  task_attempts task{{}, {.on_lost = lost_attempt::give_up}};
  CHECK(task.begin().enqueue);
  CHECK(task.finished(1, AttemptEnd::DROPPED, -1, "its executor went away", 0).enqueue);
  CHECK(task.row().attempt == 2);
  CHECK(task.row().failures == 0);
  CHECK(task.cancel("enough").kill);
  CHECK(task.finished(2, AttemptEnd::DROPPED, -1, "", 0).release);
  CHECK(task.row().state == TaskState::CANCELLED);
}

// Whether it waits in the pool or at an executor only these know: they say when it has ended.
TEST_CASE("cancelling ends what is queued and what runs, once that is told") {
  task_attempts queued{{}, {}};
  CHECK(queued.begin().changed);
  CHECK(queued.cancel("enough").kill);
  CHECK_FALSE(queued.wants(1));
  CHECK(queued.cancel("enough") == nothing);
  CHECK(queued.row().state == TaskState::QUEUED);
  CHECK(queued.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0).reported);
  CHECK(queued.row().state == TaskState::CANCELLED);
  CHECK(queued.row().reason == "enough");

  auto backing_off = running({.max_attempts = 2});
  CHECK(backing_off.finished(1, AttemptEnd::EXITED, 1, "", 0).retry_after);
  const auto forgotten = backing_off.cancel("enough");
  CHECK(forgotten.forget_retry);
  CHECK_FALSE(forgotten.release);
  CHECK(backing_off.retry_due() == nothing);

  auto task = running({.max_attempts = 5});
  CHECK(task.cancel("enough").kill);
  CHECK(task.cancel("enough") == nothing);
  CHECK(task.row().state == TaskState::RUNNING);
  CHECK(task.finished(1, AttemptEnd::LOST, -1, "", 0).release);
  CHECK(task.row().state == TaskState::CANCELLED);
  CHECK(task.row().reason == "enough");
}

TEST_CASE("what is cancelled while it starts ends all the same") {
  task_attempts task{{}, {}};
  CHECK(task.begin().changed);
  CHECK(task.cancel("enough").kill);
  CHECK(task.started(1, "e").reported);
  CHECK(task.row().cancelling);
  CHECK(task.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0).reported);
  CHECK(task.row().state == TaskState::CANCELLED);
}

TEST_CASE("a result that is faster than its cancellation counts") {
  auto task = running();
  CHECK(task.cancel("enough").kill);
  CHECK(task.finished(1, AttemptEnd::EXITED, 0, "", 0).adopted);
  CHECK(task.row().state == TaskState::SUCCEEDED);
}

task_attempts making_way(Preemptible rule, retry_policy policy = {}) {
  auto task = running(policy);
  CHECK(task.preempt(1, rule, "preempted by 'b'") == task_effects{.changed = true, .kill = true});
  CHECK(task.row().state == TaskState::RUNNING);
  return task;
}

TEST_CASE("an attempt that makes way is made again in its old place and does not count") {
  auto task = making_way(Preemptible::REQUEUE);
  CHECK(task.preempt(1, Preemptible::REQUEUE, "again") == nothing);
  const auto ended = task.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0);
  CHECK(ended ==
        task_effects{
            .changed = true, .reported = true, .enqueue = true, .in_place = true, .release = true});
  const auto row = task.row();
  CHECK(row.state == TaskState::QUEUED);
  CHECK(row.attempt == 2);
  CHECK(row.failures == 0);
  CHECK_FALSE(row.cancelling);
  CHECK(row.reason == "preempted by 'b'");
  CHECK(row.preempted == Preemptible::BY_DEFAULT);
  CHECK(row.preemptions == 1);
  CHECK(task.wants(2));
  CHECK(task.preempt(1, Preemptible::REQUEUE, "late") == nothing);
  CHECK(task.started(2, "e").changed);
  CHECK(task.finished(2, AttemptEnd::EXITED, 0, "", 0).adopted);
  CHECK(task.preempt(2, Preemptible::REQUEUE, "late") == nothing);
}

// Goal: nothing of a gang is tried again alone, and its run can tell what was lost from the rest.
TEST_CASE("one of a gang has one attempt, and has ended with it") {
  struct row {
    AttemptEnd end;
    std::int32_t exit_code;
    TaskState state;
    TaskState when_cancelled;
  };
  for (const auto& each :
       {row{AttemptEnd::EXITED, 0, TaskState::SUCCEEDED, TaskState::SUCCEEDED},
        row{AttemptEnd::EXITED, 3, TaskState::FAILED, TaskState::CANCELLED},
        row{AttemptEnd::TIMED_OUT, -1, TaskState::TIMED_OUT, TaskState::CANCELLED},
        row{AttemptEnd::NOT_STARTED, -1, TaskState::ERRORED, TaskState::CANCELLED},
        row{AttemptEnd::LOST, -1, TaskState::LOST, TaskState::LOST},
        row{AttemptEnd::DROPPED, -1, TaskState::LOST, TaskState::CANCELLED},
        row{AttemptEnd::CANCELLED, -1, TaskState::LOST, TaskState::CANCELLED}}) {
    for (const auto is_cancelled : {false, true}) {
      CAPTURE(static_cast<int>(each.end));
      CAPTURE(is_cancelled);
      task_attempts task{{}, {}, {}, begun_again_by::its_run};
      CHECK(task.begin().enqueue);
      if (is_cancelled) {
        CHECK(task.cancel("rank 1 of the gang has failed").kill);
      }
      const auto effects = task.finished(1, each.end, each.exit_code, "r", 0);
      CHECK(effects.release);
      CHECK_FALSE(effects.enqueue);
      CHECK_FALSE(effects.retry_after);
      CHECK(task.row().state == (is_cancelled ? each.when_cancelled : each.state));
      CHECK(task.begin().enqueue);  // its run begins all of it again
      CHECK(task.wants(2));
    }
  }
}

TEST_CASE("one of a gang that was late has timed out, also where it was lost meanwhile") {
  for (const auto end : {AttemptEnd::CANCELLED, AttemptEnd::LOST}) {
    task_attempts task{{}, {}, {}, begun_again_by::its_run};
    CHECK(task.begin().enqueue);
    CHECK(task.start_overdue("did not start within 1s").kill);
    CHECK(task.finished(1, end, -1, "its executor went away", 0).release);
    CHECK(task.row().state == TaskState::TIMED_OUT);
    CHECK(task.row().reason == "did not start within 1s");
  }
}

TEST_CASE("an attempt that makes way before it starts goes on waiting and has lost nothing") {
  task_attempts task{{}, {}};
  CHECK(task.begin().enqueue);
  CHECK(task.preempt(1, Preemptible::REQUEUE, "preempted").kill);
  CHECK_FALSE(task.wants(1));
  const auto ended = task.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0);
  CHECK(ended.waits_on);
  CHECK(ended.in_place);
  CHECK(task.row().preemptions == 0);
}

// Goal: the limit is not lost: its reminder comes once.
TEST_CASE("an attempt that is late while it makes way has timed out") {
  task_attempts task{{}, {.max_attempts = 3}};
  CHECK(task.begin().enqueue);
  CHECK(task.preempt(1, Preemptible::REQUEUE, "preempted").kill);
  CHECK(task.start_overdue("late") == task_effects{.changed = true});
  CHECK(task.start_overdue("later") == nothing);
  CHECK(task.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0).release);
  CHECK(task.row().state == TaskState::TIMED_OUT);
  CHECK(task.row().reason == "late");
}

TEST_CASE("a task that is to be cancelled where it makes way is") {
  auto task = making_way(Preemptible::CANCEL, {.max_attempts = 3});
  const auto ended = task.finished(1, AttemptEnd::CANCELLED, -1, "cancelled", 0);
  CHECK(ended == task_effects{.changed = true, .reported = true, .release = true});
  CHECK(task.row().state == TaskState::CANCELLED);
  CHECK(task.row().reason == "preempted by 'b'");
}

TEST_CASE("what was faster than the order to make way counts as what it is") {
  auto succeeds = making_way(Preemptible::CANCEL);
  CHECK(succeeds.finished(1, AttemptEnd::EXITED, 0, "", 0).adopted);
  CHECK(succeeds.row().preempted == Preemptible::BY_DEFAULT);
  auto fails = making_way(Preemptible::REQUEUE, {.max_attempts = 2});
  CHECK(fails.finished(1, AttemptEnd::EXITED, 3, "exit code 3", 0).retry_after);
  CHECK(fails.row().failures == 1);
  CHECK(fails.row().preemptions == 0);
  CHECK(fails.retry_due().enqueue);
  CHECK(fails.wants(2));
  CHECK(fails.finished(2, AttemptEnd::CANCELLED, -1, "", 0).enqueue);  // its executor stopped
  CHECK_FALSE(fails.row().attempt == 2);
}

TEST_CASE("an executor that goes while an attempt makes way leaves it as it would have been") {
  auto task = making_way(Preemptible::REQUEUE);
  CHECK(task.finished(1, AttemptEnd::LOST, -1, "", 0).in_place);
  auto cancelled = making_way(Preemptible::CANCEL);
  CHECK(cancelled.finished(1, AttemptEnd::DROPPED, -1, "", 0).reported);
  CHECK(cancelled.row().state == TaskState::CANCELLED);
  auto unknown = making_way(Preemptible::REQUEUE, {.on_lost = lost_attempt::give_up});
  CHECK_FALSE(unknown.finished(1, AttemptEnd::LOST, -1, "", 0).enqueue);
  CHECK(unknown.row().state == TaskState::LOST);
}

TEST_CASE("a task that is cancelled while it makes way does not come back") {
  auto task = making_way(Preemptible::REQUEUE);
  CHECK(task.cancel("enough") == task_effects{.changed = true});
  CHECK(task.cancel("again") == nothing);
  CHECK(task.finished(1, AttemptEnd::CANCELLED, -1, "", 0).release);
  CHECK(task.row().state == TaskState::CANCELLED);
  CHECK(task.row().reason == "enough");
}

TEST_CASE("one that is being cancelled does not make way, and a task makes way so often") {
  auto cancelled = running();
  CHECK(cancelled.cancel("enough").kill);
  CHECK(cancelled.preempt(1, Preemptible::REQUEUE, "p") == nothing);
  auto task = running();
  for (std::uint32_t attempt = 1; attempt <= preemptions_max; ++attempt) {
    CHECK(task.may_make_way());
    CHECK(task.preempt(attempt, Preemptible::REQUEUE, "p").kill);
    CHECK(task.finished(attempt, AttemptEnd::CANCELLED, -1, "", 0).enqueue);
    CHECK(task.started(attempt + 1, "e").changed);
  }
  CHECK_FALSE(task.may_make_way());
  CHECK(task.finished(preemptions_max + 1, AttemptEnd::EXITED, 1, "", 0).reported);
  CHECK(task.begin().enqueue);  // the run is retried
  CHECK(task.may_make_way());
}

TEST_CASE("a retry of the run counts failures anew and goes on counting attempts") {
  auto task = running();
  CHECK(task.finished(1, AttemptEnd::EXITED, 1, "", 0).reported);
  CHECK(task.begin().enqueue);
  CHECK(task.row().attempt == 2);
  CHECK(task.row().failures == 0);
}

// Goal: whatever is lost, repeated or late, a task keeps at most one slot, gives each back, never
// leaves an end and counts no loss as a failure.
// Method: random events against the task, of which most are out of place, beside a pool that
// remembers what is held.
TEST_CASE("random events never break a task") {
  for (std::uint32_t seed = 0; seed < 2'000; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto below = [&](std::uint32_t limit) {
      return static_cast<std::uint32_t>(random() % limit);
    };
    const retry_policy policy{
        .max_attempts = 1 + below(3),
        .on_lost = below(4) == 0 ? lost_attempt::give_up : lost_attempt::start_again};
    task_attempts task{{}, policy};
    std::optional<std::uint32_t> held;  // attempt with a ticket
    bool reminded = false;
    std::uint32_t started = 0;
    const auto take = [&](const task_effects& effects, std::uint32_t before) {
      if (effects.release) {
        CHECK(held == before);
        held.reset();
      }
      CHECK((!effects.in_place || (effects.release && effects.enqueue)));
      if (effects.enqueue) {
        CHECK_FALSE(held);
        held = task.row().attempt;
      }
      if (effects.forget_retry) {
        CHECK(std::exchange(reminded, false));
      }
      reminded = reminded || effects.retry_after;
      CHECK((effects.changed || effects == task_effects{}));
    };
    take(task.begin(), 0);
    for (int step = 0; step < 40; ++step) {
      const auto before = task.row();
      const auto attempt = below(3) == 0 ? below(before.attempt + 2) : before.attempt;
      task_effects effects;
      switch (below(6)) {
        case 0:
        case 1:
          if (task.wants(attempt)) {
            CHECK(held == attempt);
            CHECK(attempt > started);
            started = attempt;
            effects = task.started(attempt, "e");
            CHECK(effects.changed);
          } else {
            effects = task.started(attempt, "late");
          }
          break;
        case 2:
          if (std::exchange(reminded, false)) {
            effects = task.retry_due();
          }
          break;
        case 3:
          if (const auto what = below(12); what < 3) {
            effects = what == 0   ? task.cancel("enough")
                      : what == 1 ? task.start_overdue("late")
                                  : task.waits(attempt, "waits for more");
          } else if (what < 5) {
            effects = task.preempt(attempt, what == 3 ? Preemptible::REQUEUE : Preemptible::CANCEL,
                                   "urgent");
          }
          break;
        default:
          if (attempt <= before.attempt) {
            effects = task.finished(attempt, static_cast<AttemptEnd>(below(8)),
                                    static_cast<std::int32_t>(below(2)), "r", 0.5);
          }
      }
      take(effects, before.attempt);
      const auto& after = task.row();
      CHECK(after.failures <= policy.max_attempts);
      CHECK((after.cancelling || after.preempted == Preemptible::BY_DEFAULT));
      CHECK(effects.changed == !(after == before));
      if (is_terminal(before.state)) {
        CHECK(after == before);
      }
      const auto open = after.state == TaskState::QUEUED || after.state == TaskState::RUNNING;
      CHECK(held.has_value() == open);
      CHECK(reminded == (after.state == TaskState::BACKING_OFF));
      task = task_attempts{after, policy};  // as after a restart
    }
  }
}

}  // namespace
}  // namespace millrace::actors
