// SPDX-License-Identifier: MIT
#include "pipeline/task_actor.h"

#include "millrace/actors/duration_text.h"
#include "millrace/actors/retry_policy.h"
#include "pipeline/names.h"
#include "run/run_graph.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using schemas::AttemptEnd;
using schemas::TaskState;

namespace {

constexpr const char* spec_row = "spec";
constexpr const char* retry_reminder = "retry";
constexpr unsigned attempt_digits = 6;

// The part of a delay that chance takes away: the same for one attempt however often it is asked.
double fraction_of(std::string_view token) {
  runtime::rng random{std::hash<std::string_view>{}(token)};
  return random.fraction();
}

std::string exit_text(schemas::AttemptReport::Reader report, runtime::duration timeout) {
  switch (report.getEnd()) {
    case AttemptEnd::EXITED:
      return "exit code " + std::to_string(report.getExitCode());
    case AttemptEnd::SIGNALLED:
      return "killed by signal " + std::to_string(report.getSignal());
    case AttemptEnd::TIMED_OUT:
      return "timed out after " + format_duration(timeout);
    case AttemptEnd::CANCELLED:
      return "cancelled";
    case AttemptEnd::LOG_LIMIT:
      return "wrote more output than a log may hold";
    case AttemptEnd::NOT_STARTED:
    case AttemptEnd::BAD_OUTPUTS:
      return text_of(report.getText());
    case AttemptEnd::LOST:
      return "its executor went away";
  }
  return {};
}

}  // namespace

schemas::TaskSpec::Reader task_actor::spec() const {
  return *spec_.get(spec_row);
}

std::string task_actor::token(std::uint32_t attempt) const {
  return attempt_token(text_of(spec().getRun()), text_of(spec().getName()), attempt);
}

async<> task_actor::begin(begin_params params) {
  if (spec_.contains(spec_row) && spec().getEpoch() >= params.spec().getEpoch()) {
    return {};
  }
  spec_.put(spec_row, params.spec());
  auto root = edit();
  root.setFailures(0);
  root.setCancelling(false);
  root.setExitCode(-1);
  root.setStartedAt(0);
  root.setFinishedAt(0);
  root.initOutputs(0);
  queue();
  return {};
}

// Asks the pool for a slot for the next attempt.
void task_actor::queue() {
  auto root = edit();
  root.setState(TaskState::QUEUED);
  root.setReason("");
  root.setAttempt(root.getAttempt() + 1);
  send(ref<schemas::Pool>(text_of(spec().getPool()))
           .enqueue(key(), root.getAttempt(), spec().getPriority()));
  report();
}

async<> task_actor::granted(granted_params params) {
  if (state().getState() != TaskState::QUEUED || params.attempt() != state().getAttempt() ||
      !text_of(state().getExecutor()).empty()) {
    co_return;  // the pool is told by `release` when an attempt ends
  }
  auto root = edit();
  root.setExecutor(params.read().getExecutor());
  root.setIncarnation(params.incarnation());
  auto row = attempts_.edit(padded(params.attempt(), attempt_digits));
  row.setNumber(params.attempt());
  row.setExecutor(params.read().getExecutor());
  row.setExitCode(-1);

  schemas::executor_interface::start_params start;
  auto attempt = start.build().initAttempt();
  attempt.setTask(key().c_str());
  attempt.setNumber(params.attempt());
  attempt.setToken(token(params.attempt()).c_str());
  attempt.setArgv(spec().getArgv());
  attempt.setEnvironment(spec().getEnvironment());
  attempt.setWorkspace(spec().getWorkspace());
  attempt.setLogs(spec().getRun());
  attempt.setTimeoutNs(spec().getTimeoutNs());
  attempt.setGraceNs(spec().getGraceNs());
  attempt.setIncarnation(params.incarnation());
  send(ref<schemas::Executor>(text_of(params.read().getExecutor())).start(std::move(start)));
}

async<> task_actor::attempt_started(attempt_started_params params) {
  if (params.number() != state().getAttempt() || state().getState() != TaskState::QUEUED) {
    return {};
  }
  auto root = edit();
  root.setState(TaskState::RUNNING);
  if (root.getStartedAt() == 0) {
    root.setStartedAt(params.started_at());
  }
  attempts_.edit(padded(params.number(), attempt_digits)).setStartedAt(params.started_at());
  report();
  return {};
}

void task_actor::record_attempt(schemas::AttemptReport::Reader report) {
  auto row = attempts_.edit(padded(report.getNumber(), attempt_digits));
  row.setNumber(report.getNumber());
  row.setEnd(report.getEnd());
  row.setExitCode(report.getExitCode());
  row.setSignal(report.getSignal());
  if (report.getStartedAt() != 0) {
    row.setStartedAt(report.getStartedAt());
  }
  row.setFinishedAt(report.getFinishedAt() != 0 ? report.getFinishedAt() : nanoseconds(now()));
  row.setStdoutTail(report.getStdoutTail());
  row.setStderrTail(report.getStderrTail());
  row.setStdoutBytes(report.getStdoutBytes());
  row.setStderrBytes(report.getStderrBytes());
  row.setText(exit_text(report, runtime::duration{spec().getTimeoutNs()}).c_str());
}

async<> task_actor::attempt_finished(attempt_finished_params params) {
  const auto news = params.report();
  if (!spec_.contains(spec_row) || news.getNumber() != state().getAttempt() ||
      is_terminal(state().getState()) || state().getState() == TaskState::BACKING_OFF) {
    co_return;
  }
  record_attempt(news);
  auto root = edit();
  root.setExecutor("");
  root.setExitCode(news.getExitCode());
  if (root.getStartedAt() == 0) {
    root.setStartedAt(news.getStartedAt());
  }
  send(ref<schemas::Pool>(text_of(spec().getPool())).release(key(), news.getNumber()));
  const auto reason = exit_text(news, runtime::duration{spec().getTimeoutNs()});
  if (news.getEnd() == AttemptEnd::EXITED && news.getExitCode() == 0) {
    root.setOutputs(news.getOutputs());
    end(TaskState::SUCCEEDED, "");
  } else if (root.getCancelling()) {
    end(TaskState::CANCELLED, text_of(root.getReason()));
  } else if (news.getEnd() == AttemptEnd::LOST) {
    if (spec().getGiveUpWhenLost()) {
      end(TaskState::LOST, reason);
    } else {
      queue();
    }
  } else if (news.getEnd() == AttemptEnd::NOT_STARTED) {
    after_failure(TaskState::ERRORED, reason);
  } else {
    after_failure(news.getEnd() == AttemptEnd::TIMED_OUT ? TaskState::TIMED_OUT : TaskState::FAILED,
                  reason);
  }
}

void task_actor::after_failure(TaskState failed, const std::string& reason) {
  auto root = edit();
  root.setFailures(root.getFailures() + 1);
  retry_policy policy;
  policy.max_attempts = spec().getMaxAttempts();
  policy.delay = runtime::duration{spec().getDelayNs()};
  policy.backoff = spec().getBackoff();
  policy.max_delay = runtime::duration{spec().getMaxDelayNs()};
  policy.jitter = spec().getJitter();
  const auto delay = next_delay(policy, root.getFailures(), fraction_of(token(root.getAttempt())));
  if (!delay) {
    end(failed, reason);
    return;
  }
  root.setState(TaskState::BACKING_OFF);
  root.setReason(
      (reason + "; next attempt in " +
       format_duration(std::max<runtime::duration>(*delay, std::chrono::milliseconds{1})))
          .c_str());
  set_reminder(retry_reminder, now() + *delay);
  report();
}

async<> task_actor::on_reminder(std::string) {
  if (state().getState() == TaskState::BACKING_OFF) {
    queue();
  }
  return {};
}

void task_actor::end(TaskState terminal, const std::string& reason) {
  auto root = edit();
  root.setState(terminal);
  root.setReason(reason.c_str());
  root.setFinishedAt(nanoseconds(now()));
  report();
}

async<> task_actor::cancel(cancel_params params) {
  const auto now_in = state().getState();
  if (!spec_.contains(spec_row) || is_terminal(now_in) || state().getCancelling()) {
    co_return;
  }
  const std::string reason{params.reason()};
  const auto with_executor = !text_of(state().getExecutor()).empty();
  if (with_executor) {
    auto root = edit();
    root.setCancelling(true);
    root.setReason(reason.c_str());
    send(ref<schemas::Executor>(text_of(root.getExecutor())).cancel(token(root.getAttempt())));
    co_return;
  }
  if (now_in == TaskState::BACKING_OFF) {
    cancel_reminder(retry_reminder);
  } else {
    send(ref<schemas::Pool>(text_of(spec().getPool())).release(key(), state().getAttempt()));
  }
  end(TaskState::CANCELLED, reason);
}

// Tells the run.
void task_actor::report() {
  const auto root = state();
  schemas::run_interface::task_changed_params params;
  auto made = params.build();
  made.setEpoch(spec().getEpoch());
  auto status = made.initStatus();
  status.setName(spec().getName());
  status.setTask(spec().getTask());
  status.setIndex(spec().getIndex());
  status.setLabel(spec().getLabel());
  status.setState(root.getState());
  status.setAttempt(root.getAttempt());
  status.setExitCode(root.getExitCode());
  status.setReason(root.getReason());
  status.setStartedAt(root.getStartedAt());
  status.setFinishedAt(root.getFinishedAt());
  status.setOutputs(root.getOutputs());
  send(ref<schemas::Run>(text_of(spec().getRun())).task_changed(std::move(params)));
}

async<task_actor::describe_results> task_actor::describe() {
  if (!spec_.contains(spec_row)) {
    co_return error{errc::not_found, "there is no task '" + key() + "' that has started"};
  }
  describe_results results;
  auto made = results.build();
  made.setName(spec().getName());
  made.setRun(spec().getRun());
  made.setState(state().getState());
  made.setReason(state().getReason());
  made.setCommand(spec().getArgv());
  auto list = made.initAttempts(static_cast<unsigned>(attempts_.size()));
  unsigned at = 0;
  attempts_.for_each([&](std::string_view, schemas::Attempt::Reader row) {
    list.setWithCaveats(at++, row);
    return true;
  });
  co_return results;
}

}  // namespace millrace::actors
