// SPDX-License-Identifier: MIT
#include "task/task_attempts.h"

#include <algorithm>

#include "definition/exit_codes.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/process_outputs.h"
#include "millrace/runtime/assert.h"
#include "run/run_graph.h"

namespace millrace::actors {

using schemas::AttemptEnd;
using schemas::Preemptible;
using schemas::TaskState;

namespace {
// How the reason of an attempt begins that has not started; others tell of the one before.
constexpr std::string_view wait_text = "waits for ";
constexpr std::string_view look_up_text = "looks for a kept result";
}  // namespace

task_effects task_attempts::begin(kept_result kept) {
  MILLRACE_ASSERT(row_.state == TaskState::WAITING || is_terminal(row_.state));
  row_.failures = 0;
  row_.preemptions = 0;
  row_.overdue = false;
  auto effects = next_attempt();
  if (kept == kept_result::wanted) {
    row_.looking_up = true;
    row_.reason = look_up_text;
    effects.enqueue = false;
    effects.look_up = true;
  }
  return effects;
}

task_effects task_attempts::took_kept(std::string_view reason) {
  if (!row_.looking_up) {
    return {};
  }
  end(TaskState::SUCCEEDED, std::string{reason});
  return {.changed = true, .reported = true};
}

task_effects task_attempts::missed() {
  if (!row_.looking_up) {
    return {};
  }
  row_.looking_up = false;
  row_.reason.clear();
  return {.changed = true, .reported = true, .enqueue = true};
}

task_effects task_attempts::next_attempt() {
  row_.state = TaskState::QUEUED;
  row_.cancelling = false;
  row_.preempted = Preemptible::BY_DEFAULT;
  row_.reason.clear();
  row_.executor.clear();
  ++row_.attempt;
  return {.changed = true, .reported = true, .enqueue = true};
}

bool task_attempts::wants(std::uint32_t attempt) const {
  return row_.state == TaskState::QUEUED && attempt == row_.attempt && !row_.cancelling &&
         !row_.looking_up;
}

task_effects task_attempts::started(std::uint32_t attempt, std::string_view executor) {
  if (row_.state != TaskState::QUEUED || attempt != row_.attempt) {
    return {};
  }
  row_.state = TaskState::RUNNING;
  row_.executor = executor;
  if (!row_.cancelling && row_.reason.starts_with(wait_text)) {
    row_.reason.clear();
  }
  return {.changed = true, .reported = true};
}

task_effects task_attempts::waits(std::uint32_t attempt, std::string_view reason) {
  if (!wants(attempt) || row_.reason == reason) {
    return {};
  }
  row_.reason = reason;
  return {.changed = true, .reported = true};
}

task_effects task_attempts::finished(std::uint32_t attempt, AttemptEnd how, std::int32_t exit_code,
                                     const std::string& reason, double fraction) {
  const auto open = row_.state == TaskState::QUEUED || row_.state == TaskState::RUNNING;
  if (!open || attempt != row_.attempt || row_.looking_up) {
    return {};
  }
  row_.executor.clear();
  const auto waited = row_.state == TaskState::QUEUED;
  const auto is_gone = how == AttemptEnd::LOST && policy_.on_lost == lost_attempt::start_again;
  const auto makes_way = row_.preempted != Preemptible::BY_DEFAULT &&
                         (how == AttemptEnd::CANCELLED || how == AttemptEnd::DROPPED || is_gone);
  task_effects effects{.changed = true, .reported = true};
  if (how == AttemptEnd::ANSWERED ||
      (how == AttemptEnd::EXITED && is_success(exit_code, success_codes_))) {
    end(TaskState::SUCCEEDED, {});  // also while it is being cancelled: it was faster
    effects.adopted = true;
  } else if (makes_way) {
    effects = make_way();
  } else if (row_.cancelling && row_.preempted == Preemptible::BY_DEFAULT &&
             (how != AttemptEnd::LOST ||
              (again_ == begun_again_by::itself ? policy_.on_lost != lost_attempt::give_up
                                                : row_.overdue))) {
    end(row_.overdue ? TaskState::TIMED_OUT : TaskState::CANCELLED, row_.reason);
  } else {
    switch (how) {
      case AttemptEnd::LOST:
      case AttemptEnd::CANCELLED:  // not by us: the executor was stopped
        if (policy_.on_lost == lost_attempt::give_up || again_ == begun_again_by::its_run) {
          end(TaskState::LOST, reason);
        } else {
          effects = next_attempt();
        }
        break;
      case AttemptEnd::DROPPED:
        if (again_ == begun_again_by::its_run) {
          end(TaskState::LOST, reason);
        } else {
          effects = next_attempt();
          effects.waits_on = waited;
        }
        break;
      case AttemptEnd::NOT_STARTED:
      case AttemptEnd::DISK_FULL:
      case AttemptEnd::QUEUED:
      case AttemptEnd::RUNNING:
      case AttemptEnd::PREEMPTED:
      case AttemptEnd::CACHED:
      case AttemptEnd::ANSWERED:  // no report says so
        effects = fail(TaskState::ERRORED, reason, fraction);
        break;
      case AttemptEnd::TIMED_OUT:
        effects = fail(TaskState::TIMED_OUT, reason, fraction);
        break;
      case AttemptEnd::REFUSED:
        effects = fail(TaskState::FAILED, reason, fraction, false);
        break;
      case AttemptEnd::UNANSWERED:  // it may have had its effect, and has it again at most
        effects = fail(TaskState::LOST, reason, fraction, policy_.on_lost != lost_attempt::give_up);
        break;
      case AttemptEnd::EXITED:
      case AttemptEnd::SIGNALLED:
        effects = fail(TaskState::FAILED, reason, fraction, may_retry(policy_, exit_code));
        break;
      case AttemptEnd::LOG_LIMIT:
        effects = fail(TaskState::FAILED, reason, fraction);
        break;
      case AttemptEnd::BAD_OUTPUTS:
        effects = fail(TaskState::FAILED, reason, fraction, !reason.ends_with(larger_output_hint));
        break;
    }
  }
  effects.release = true;
  return effects;
}

task_effects task_attempts::make_way() {
  auto reason = row_.reason;
  if (row_.preempted == Preemptible::CANCEL) {
    end(TaskState::CANCELLED, reason);
    return {.changed = true, .reported = true};
  }
  const auto waited = row_.state == TaskState::QUEUED;
  row_.preemptions += waited ? 0 : 1;
  auto effects = next_attempt();
  effects.waits_on = waited;
  effects.in_place = true;
  row_.reason = std::move(reason);
  return effects;
}

task_effects task_attempts::fail(TaskState state, const std::string& reason, double fraction,
                                 bool may_retry) {
  ++row_.failures;
  task_effects effects{.changed = true, .reported = true};
  const auto retry_after = next_delay(policy_, row_.failures, fraction);
  if (!retry_after || !may_retry) {
    end(state, retry_after ? reason + ", after which it is not retried" : reason);
    return effects;
  }
  effects.retry_after = retry_after;
  row_.state = TaskState::BACKING_OFF;
  row_.cancelling = false;  // it has failed before it made way
  row_.preempted = Preemptible::BY_DEFAULT;
  const auto shown =
      std::max<runtime::duration>(*effects.retry_after, std::chrono::milliseconds{1});
  row_.reason = reason + "; next attempt in " + format_duration(shown);
  return effects;
}

task_effects task_attempts::retry_due() {
  return row_.state == TaskState::BACKING_OFF ? next_attempt() : task_effects{};
}

task_effects task_attempts::cancel(std::string_view reason) {
  const auto makes_way = row_.preempted != Preemptible::BY_DEFAULT;
  if (row_.state == TaskState::WAITING || is_terminal(row_.state) ||
      (row_.cancelling && !makes_way)) {
    return {};
  }
  if (makes_way) {  // it is being ended already
    row_.preempted = Preemptible::BY_DEFAULT;
    row_.reason = reason;
    return {.changed = true};
  }
  if (row_.state != TaskState::BACKING_OFF && !row_.looking_up) {
    row_.cancelling = true;
    row_.reason = reason;
    return {.changed = true, .kill = true};
  }
  end(TaskState::CANCELLED, std::string{reason});
  return {.changed = true, .reported = true, .forget_retry = true};
}

task_effects task_attempts::start_overdue(std::string_view reason) {
  const auto makes_way = row_.preempted != Preemptible::BY_DEFAULT;  // it is being ended already
  if (row_.state != TaskState::QUEUED || (row_.cancelling && !makes_way) || row_.looking_up) {
    return {};
  }
  row_.cancelling = true;
  row_.overdue = true;
  row_.preempted = Preemptible::BY_DEFAULT;
  row_.reason = reason;
  return {.changed = true, .kill = !makes_way};
}

task_effects task_attempts::preempt(std::uint32_t attempt, Preemptible rule,
                                    std::string_view reason) {
  const auto open = row_.state == TaskState::QUEUED || row_.state == TaskState::RUNNING;
  if (!open || attempt != row_.attempt || row_.cancelling) {
    return {};
  }
  row_.cancelling = true;
  row_.preempted = rule;
  row_.reason = reason;
  return {.changed = true, .kill = true};
}

void task_attempts::end(TaskState state, const std::string& reason) {
  row_.state = state;
  row_.reason = reason;
  row_.cancelling = false;
  row_.preempted = Preemptible::BY_DEFAULT;
  row_.overdue = false;
  row_.looking_up = false;
}

}  // namespace millrace::actors
