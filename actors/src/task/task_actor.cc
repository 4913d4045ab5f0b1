// SPDX-License-Identifier: MIT
#include "task/task_actor.h"

#include <cstring>
#include <optional>

#include "definition/exit_codes.h"
#include "millrace/actors/duration_text.h"
#include "pipeline/names.h"
#include "pool/wish_rows.h"
#include "run/run_graph.h"
#include "run/run_spans.h"
#include "run/task_spec.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using schemas::AttemptEnd;
using schemas::TaskState;

namespace {

constexpr const char* retry_reminder = "retry";
constexpr const char* start_reminder = "start";
constexpr const char* kept_reminder = "kept";
// Whatever keeps the word of a kept result away, the command runs then.
constexpr auto looked_up_within = std::chrono::minutes{5};
constexpr auto reason_told_within = std::chrono::milliseconds{500};
constexpr unsigned attempt_digits = 6;

// The part of a delay that chance takes away: the same for one attempt however often it is asked.
double fraction_of(std::string_view token) {
  runtime::rng random{std::hash<std::string_view>{}(token)};
  return random.fraction();
}

// What is wrong with the outputs of an attempt whose command has succeeded; empty: nothing.
std::string refusal_of_outputs(schemas::AttemptReport::Reader report,
                               schemas::TaskSpec::Reader spec) {
  if (report.getText().size() > 0) {
    return text_of(report.getText());
  }
  const auto of_stdout = spec.getStdoutOutput();
  const auto has_stdout = report.hasStdoutText() || report.hasStdoutKept();
  if (of_stdout.size() > 0 && (report.getStdoutRefusal().size() > 0 || !has_stdout)) {
    return "standard output, which is the output \"" + text_of(of_stdout) + "\": " +
           (report.getStdoutRefusal().size() > 0 ? text_of(report.getStdoutRefusal())
                                                 : "its executor is of an older version");
  }
  for (auto name : spec.getOutputs()) {
    auto written = name == of_stdout;
    for (auto output : report.getOutputs()) {
      written = written || output.getName() == name;
    }
    if (!written) {
      return "wrote no value for output \"" + text_of(name) + "\": write \"" + text_of(name) +
             "=value\" to $MILLRACE_OUTPUT";
    }
  }
  return {};
}

// Whether an artifact is missing that must be there.
bool lacks_artifacts(schemas::AttemptReport::Reader report, schemas::TaskSpec::Reader spec) {
  for (auto wish : spec.getArtifacts()) {
    auto kept = wish.getOptional();
    for (auto each : report.getArtifacts()) {
      kept = kept || each.getName() == wish.getName();
    }
    if (!kept) {
      return true;
    }
  }
  return false;
}

std::string signal_name(int number) {
  const auto* known = ::sigabbrev_np(number);
  return known != nullptr ? "SIG" + std::string{known} : "signal " + std::to_string(number);
}

std::string with_comma(capnp::Text::Reader more) {
  return more.size() == 0 ? std::string{} : ", " + text_of(more);
}

std::string exit_text(schemas::AttemptReport::Reader report, schemas::TaskSpec::Reader spec) {
  if (spec.hasCall()) {
    return text_of(report.getText());
  }
  switch (report.getEnd()) {
    case AttemptEnd::EXITED:
      return "exit code " + std::to_string(report.getExitCode());
    case AttemptEnd::SIGNALLED:
      return report.getText().size() > 0 ? text_of(report.getText())
                                         : "killed by " + signal_name(report.getSignal());
    case AttemptEnd::TIMED_OUT:
      return (report.getNoHeartbeat()
                  ? "no heartbeat for " + format_duration(runtime::duration{spec.getHeartbeatNs()})
                  : "timed out after " + format_duration(runtime::duration{spec.getTimeoutNs()})) +
             with_comma(report.getText());
    case AttemptEnd::CANCELLED:
      return "cancelled" + with_comma(report.getText());
    case AttemptEnd::LOG_LIMIT:
      return "wrote more output than a log may hold";
    case AttemptEnd::NOT_STARTED:
    case AttemptEnd::BAD_OUTPUTS:
    case AttemptEnd::DISK_FULL:
      return text_of(report.getText());
    case AttemptEnd::LOST:
      return "its executor went away";
    case AttemptEnd::DROPPED:
      return report.getText().size() > 0 ? text_of(report.getText())
                                         : "its executor went away before it started";
    case AttemptEnd::QUEUED:
    case AttemptEnd::RUNNING:
    case AttemptEnd::PREEMPTED:
    case AttemptEnd::CACHED:
    case AttemptEnd::ANSWERED:
    case AttemptEnd::REFUSED:
    case AttemptEnd::UNANSWERED:
      break;  // no report of a command says so
  }
  return {};
}

// As `millrace actor call` has it.
void tell_call(schemas::ActorCall::Reader call, capnp::List<capnp::Text>::Builder words) {
  words.set(0, (text_of(call.getType()) + "/" + text_of(call.getKey())).c_str());
  words.set(1, call.getMethod());
  words.set(2, call.getParams());
}

}  // namespace

schemas::TaskSpec::Reader task_actor::spec() const {
  return spec_.get(spec_row)->reader();
}

std::string task_actor::token(std::uint32_t attempt) const {
  return attempt_token(text_of(spec().getRun()), text_of(spec().getName()), attempt);
}

task_attempts task_actor::attempts() const {
  const auto root = state();
  retry_policy policy;
  policy.max_attempts = spec().getMaxAttempts();
  policy.delay = runtime::duration{spec().getDelayNs()};
  policy.backoff = spec().getBackoff();
  policy.max_delay = runtime::duration{spec().getMaxDelayNs()};
  policy.jitter = spec().getJitter();
  policy.on_lost = spec().getGiveUpWhenLost() ? lost_attempt::give_up : lost_attempt::start_again;
  policy.on_exit = codes_of(spec().getOnExit());
  policy.not_on_exit = codes_of(spec().getNotOnExit());
  return {{root.getState(), root.getAttempt(), root.getFailures(), root.getCancelling(),
           root.getOverdue(), root.getLookingUp(), text_of(root.getExecutor()),
           text_of(root.getReason()), root.getPreempted(), root.getPreemptions()},
          policy,
          codes_of(spec().getSuccessExitCodes()),
          spec().getWish().hasGang() ? begun_again_by::its_run : begun_again_by::itself};
}

// `attempt`: what the task had before the event. `pool_asked`: who asks the pool for the next one.
void task_actor::apply(const task_attempts& after, const task_effects& effects,
                       std::uint32_t attempt, asked_by pool_asked) {
  if (!effects.changed) {
    return;
  }
  const auto& row = after.row();
  auto root = edit();
  const auto was_looking_up = root.getLookingUp();
  root.setState(row.state);
  root.setAttempt(row.attempt);
  root.setFailures(row.failures);
  root.setCancelling(row.cancelling);
  root.setOverdue(row.overdue);
  root.setLookingUp(row.looking_up);
  root.setExecutor(row.executor.c_str());
  root.setReason(row.reason.c_str());
  root.setPreempted(row.preempted);
  root.setPreemptions(row.preemptions);
  if (is_terminal(row.state)) {
    root.setFinishedAt(nanoseconds(now()));
    set_idle_timeout(ended_idle_timeout);
  }
  const auto pool = ref<schemas::Pool>(text_of(spec().getPool()));
  if (effects.release && !effects.in_place && !spec().hasCall()) {
    send(pool.release(key(), attempt));
  }
  if (const runtime::duration longest{spec().getStartTimeoutNs()}; longest.count() > 0) {
    if (effects.enqueue && !effects.waits_on) {
      set_reminder(start_reminder, now() + longest);
    } else if (row.state != TaskState::QUEUED) {
      cancel_reminder(start_reminder);
    }
  }
  if (effects.look_up) {
    record_queued(row.attempt);
    send(ref<schemas::Task>(key()).look_up(row.attempt));
    set_reminder(kept_reminder, now() + looked_up_within);
  }
  if (was_looking_up && !row.looking_up) {
    cancel_reminder(kept_reminder);
  }
  if (effects.enqueue) {
    if (root.getStartedAt() != 0) {
      run_as_later_attempt();
    }
    record_queued(row.attempt);
    if (pool_asked == asked_by::itself && !spec().hasCall()) {
      // All tasks of the run have this workspace, or it is the task's own.
      const auto shared = spec().getWorkspace() == spec().getRun();
      schemas::pool_interface::enqueue_params params;
      auto wanted = params.build();
      wanted.setTask(key().c_str());
      wanted.setAttempt(row.attempt);
      wanted.setPriority(spec().getPriority());
      wanted.setShared(shared);
      if (spec().hasWish()) {
        wanted.setWish(spec().getWish());
        if (!after.may_make_way()) {
          wanted.getWish().setPreemptible(schemas::Preemptible::NEVER);
        }
      }
      wanted.setInPlaceOf(effects.in_place ? attempt : 0);
      send(pool.enqueue(std::move(params)));
    }
    if (effects.in_place) {
      send(pool.release(key(), attempt));  // only a pool of an older version has it still
    }
  }
  if (effects.kill && !spec().hasCall()) {
    send(pool.cancel(key(), row.attempt));
  }
  if (effects.forget_retry) {
    cancel_reminder(retry_reminder);
  }
  if (effects.retry_after) {
    set_reminder(retry_reminder, now() + *effects.retry_after);
  }
  if (effects.reported) {
    report();
  }
  if (spec().hasCall() && effects.enqueue) {
    begin_call(row.attempt);
  }
  if (spec().hasCall() && effects.kill) {
    end_call(AttemptEnd::CANCELLED, row.reason);
  }
}

void task_actor::record_queued(std::uint32_t attempt) {
  auto row = attempts_.edit(padded(attempt, attempt_digits));
  row.setNumber(attempt);
  row.setEnd(AttemptEnd::QUEUED);
  row.setExitCode(-1);
  row.setQueuedAt(nanoseconds(now()));
}

// The attempt ends without having been asked for.
void task_actor::record_unstarted(AttemptEnd end, const std::string& text) {
  auto row = attempts_.edit(padded(state().getAttempt(), attempt_digits));
  row.setEnd(end);
  row.setFinishedAt(nanoseconds(now()));
  row.setText(text.c_str());
}

void task_actor::run_as_later_attempt() {
  if (spec().getArgvOnRetry().size() > 0) {
    edit().setOnRetry(true);
  }
}

async<> task_actor::on_activate() {
  if (!spec_.contains(spec_row)) {
    set_idle_timeout(runtime::duration{});  // nobody knows it: asking leaves nothing
  } else if (is_terminal(state().getState())) {
    set_idle_timeout(ended_idle_timeout);
  }
  return {};
}

async<> task_actor::begin(begin_params params) {
  const auto order_of = [](schemas::TaskSpec::Reader one) {
    return std::pair{one.getEpoch(), one.getRound()};
  };
  if (spec_.contains(spec_row) && order_of(spec()) >= order_of(params.spec())) {
    return {};
  }
  if (spec_.contains(spec_row) && !is_terminal(state().getState())) {
    // A run begins a task again only when it has ended; anyone may call over HTTP.
    throw error{errc::failed_precondition, "the task '" + key() + "' has not ended yet"};
  }
  set_idle_timeout(std::nullopt);
  spec_.put(spec_row, params.spec());
  auto root = edit();
  root.setExitCode(-1);
  root.setSignal(0);
  root.setStartedAt(0);
  root.setFinishedAt(0);
  root.setOnRetry(false);
  root.initOutputs(0);
  root.initArtifacts(0);
  root.setCachedFrom("");
  root.setCacheMiss("");
  auto task = attempts();
  const auto effects = task.begin(looks_up(spec()) ? task_attempts::kept_result::wanted
                                                   : task_attempts::kept_result::unwanted);
  const auto first = task.row().attempt == 1;
  apply(task, effects, 0, params.enqueued() && first ? asked_by::its_run : asked_by::itself);
  return {};
}

async<> task_actor::granted(granted_params) {
  return {};
}

// What an executor is told leaves when the attempt is stored, as every answer does.
async<task_actor::attempt_spec_results> task_actor::attempt_spec(attempt_spec_params params) {
  if (!spec_.contains(spec_row)) {
    co_return error{errc::not_found, "the task '" + key() + "' has not begun"};
  }
  const auto number = params.number();
  if (!attempts().wants(number)) {
    co_return error{
        errc::failed_precondition,
        "attempt " + std::to_string(number) + " of the task '" + key() + "' is wanted no more"};
  }
  attempt_spec_results results;
  auto attempt = results.build().initAttempt();
  attempt.setTask(key().c_str());
  attempt.setNumber(number);
  attempt.setToken(token(number).c_str());
  attempt.setArgv(state().getOnRetry() ? spec().getArgvOnRetry() : spec().getArgv());
  attempt.setEnvironment(spec().getEnvironment());
  attempt.setWorkspace(spec().getWorkspace());
  attempt.setLogs(spec().getRun());
  attempt.setTimeoutNs(spec().getTimeoutNs());
  attempt.setHeartbeatNs(spec().getHeartbeatNs());
  attempt.setSuccessExitCodes(spec().getSuccessExitCodes());
  attempt.setWantsStdout(spec().getStdoutOutput().size() > 0);
  attempt.setGraceNs(spec().getGraceNs());
  attempt.setPriority(spec().getPriority());
  attempt.setDetach(spec().getDetach());
  attempt.setMemoryLimit(spec().getMemoryLimit());
  attempt.setProject(spec().getWish().getProject());
  attempt.setSecrets(spec().getSecrets());
  attempt.setWorkdir(spec().getWorkdir());
  attempt.setInputs(spec().getInputs());
  if (spec().hasLargeInputs()) {
    attempt.setLargeInputs(spec().getLargeInputs());
  }
  attempt.setKeepsOutputs(spec().getKeepsOutputs());
  attempt.setReadOutputs(spec().getReadOutputs());
  for (unsigned at = 0; at < attempt.getReadOutputs().size(); ++at) {
    if (attempt.getReadOutputs()[at] == spec().getStdoutOutput()) {
      attempt.getReadOutputs().set(at, "");  // the executor does not know what that is called
    }
  }
  attempt.setArtifacts(spec().getArtifacts());
  attempt.setNeedsArtifacts(spec().getNeedsArtifacts());
  if (const auto run = place_of(spec().getTrace())) {
    store_place(attempt_place(run, token(number)), attempt.initTrace());
  }
  co_return results;
}

async<> task_actor::attempt_started(attempt_started_params params) {
  if (!spec_.contains(spec_row)) {
    return {};
  }
  auto task = attempts();
  const auto effects = task.started(params.number(), params.executor());
  if (effects.changed) {
    auto root = edit();
    if (root.getStartedAt() == 0) {
      root.setStartedAt(params.started_at());
    }
    auto row = attempts_.edit(padded(params.number(), attempt_digits));
    row.setEnd(AttemptEnd::RUNNING);
    row.setExecutor(std::string{params.executor()}.c_str());
    row.setStartedAt(params.started_at());
  }
  apply(task, effects, params.number());
  return {};
}

async<> task_actor::attempt_waits(attempt_waits_params params) {
  if (spec_.contains(spec_row)) {
    auto task = attempts();
    const auto effects = task.waits(params.number(), params.reason());
    apply(task, effects, params.number());
  }
  return {};
}

void task_actor::record_attempt(schemas::AttemptReport::Reader report, AttemptEnd end,
                                const std::string& text) {
  auto row = attempts_.edit(padded(report.getNumber(), attempt_digits));
  row.setNumber(report.getNumber());
  row.setEnd(end);
  if (row.getExecutor().size() == 0) {  // its start was not heard of
    row.setExecutor(report.getExecutor());
  }
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
  row.setStdoutDropped(report.getStdoutDropped());
  row.setStderrDropped(report.getStderrDropped());
  row.setCpuMs(report.getCpuMs());
  row.setMaxMemory(report.getMaxMemory());
  row.setText(text.c_str());
  if (spec().getTrace().getSampled()) {
    tell_span(span_of(ended_attempt{token(report.getNumber()), spec(), row.asReader()}));
  }
}

// Its run asks the pool for the first attempt at the same time as it begins the task. If the pool
// has lost that attempt with its executor meanwhile, it has no ticket any more, and tells it once.
async<> task_actor::ended_before_it_began() {
  const auto run = co_await as_result(ref<schemas::Run>(run_of(key())).status());
  if (!run && run.error().code() != errc::not_found) {
    throw run.error();
  }
  if (run && run->run().getState() == schemas::RunState::RUNNING) {
    throw error{errc::unavailable, "the task '" + key() + "' has not begun"};
  }
}

async<> task_actor::attempt_finished(attempt_finished_params params) {
  if (!spec_.contains(spec_row)) {
    return ended_before_it_began();
  }
  finish(params.report());
  return {};
}

void task_actor::finish(schemas::AttemptReport::Reader news) {
  auto task = attempts();
  auto end = news.getEnd();
  auto text = exit_text(news, spec());
  const auto has_succeeded =
      end == AttemptEnd::ANSWERED ||
      (end == AttemptEnd::EXITED && is_success(news.getExitCode(), spec().getSuccessExitCodes()));
  auto why = has_succeeded ? refusal_of_outputs(news, spec()) : std::string{};
  if (news.getOutputsUnkept() && spec().getKeepsOutputs() &&
      (end == AttemptEnd::BAD_OUTPUTS || !why.empty())) {
    end = AttemptEnd::LOST;
    text = "its executor went away before its large outputs were kept";
  } else if (!why.empty()) {
    end = AttemptEnd::BAD_OUTPUTS;
    text = std::move(why);
  } else if (has_succeeded && news.getArtifactsUnkept() && spec().getArtifacts().size() > 0) {
    end = AttemptEnd::LOST;
    text = "its executor went away before its artifacts were kept";
  } else if (has_succeeded && lacks_artifacts(news, spec())) {
    end = AttemptEnd::BAD_OUTPUTS;
    text = "its artifacts were not kept: its executor is of an older version";
  }
  const auto exit_code = shell_exit_code(news.getExitCode(), news.getSignal());
  const auto effects =
      task.finished(news.getNumber(), end, exit_code, text, fraction_of(token(news.getNumber())));
  if (!effects.changed) {
    return;
  }
  if (state().getPreempted() != schemas::Preemptible::BY_DEFAULT && end == AttemptEnd::CANCELLED) {
    end = AttemptEnd::PREEMPTED;
    text = text_of(state().getReason()) + with_comma(news.getText());
  }
  if (state().getOverdue() && end == AttemptEnd::CANCELLED) {
    end = AttemptEnd::TIMED_OUT;
    text = task.row().reason;
  }
  record_attempt(news, end, text);
  auto root = edit();
  // The run of a gang would judge by the signal that ended the output, which no task does.
  const auto is_its_own = end != AttemptEnd::LOG_LIMIT || !spec().getWish().hasGang();
  root.setExitCode(is_its_own ? news.getExitCode() : -1);
  root.setSignal(is_its_own ? news.getSignal() : 0);
  if (root.getStartedAt() == 0) {
    root.setStartedAt(news.getStartedAt());
  }
  if (effects.adopted) {
    adopt(news);
    keep_result();
  }
  if (effects.enqueue && end == AttemptEnd::LOST) {
    run_as_later_attempt();  // it may have started: nobody can tell any more
  }
  apply(task, effects, news.getNumber());
}

// What it wrote to standard output under its name counts before what it wrote for it elsewhere.
void task_actor::adopt(schemas::AttemptReport::Reader report) {
  edit().setArtifacts(report.getArtifacts());
  for (auto each : edit().getArtifacts()) {
    each.setTask(spec().getName());
    each.setExecutor(report.getExecutor());
  }
  const auto of_stdout = spec().getStdoutOutput();
  std::vector<schemas::Variable::Reader> written;
  for (const auto each : report.getOutputs()) {
    if (each.getName() != of_stdout) {
      written.push_back(each);
    }
  }
  const auto others = static_cast<unsigned>(written.size());
  auto outputs = edit().initOutputs(others + (of_stdout.size() > 0 ? 1 : 0));
  for (unsigned at = 0; at < others; ++at) {
    outputs.setWithCaveats(at, written[at]);
  }
  if (of_stdout.size() > 0) {
    outputs[others].setName(of_stdout);
    outputs[others].setValue(report.getStdoutText());
    if (report.hasStdoutKept()) {
      outputs[others].setKept(report.getStdoutKept());
    }
  }
  for (auto each : outputs) {
    if (each.hasKept()) {
      each.getKept().setExecutor(report.getExecutor());
    }
  }
}

// What the pool has to say is for people: without an answer the task ends all the same.
async<> task_actor::start_is_overdue() {
  const auto makes_way = state().getPreempted() != schemas::Preemptible::BY_DEFAULT;
  if (state().getState() != TaskState::QUEUED || (state().getCancelling() && !makes_way)) {
    co_return;
  }
  schemas::pool_interface::reasons_params params;
  params.build().initTasks(1).set(0, key().c_str());
  const auto told = co_await as_result(ref<schemas::Pool>(text_of(spec().getPool()))
                                           .reasons(std::move(params))
                                           .timeout(reason_told_within));
  const auto why = told && told->reasons().size() > 0 ? text_of(told->reasons()[0]) : std::string{};
  auto task = attempts();
  const auto effects = task.start_overdue(
      "did not start within " + format_duration(runtime::duration{spec().getStartTimeoutNs()}) +
      (why.empty() ? "" : "; " + why));
  apply(task, effects, state().getAttempt());
}

async<> task_actor::on_reminder(std::string name) {
  if (name == start_reminder) {
    return start_is_overdue();
  }
  if (name == call_reminder) {
    call_is_overdue();
    return {};
  }
  auto task = attempts();
  if (name == kept_reminder) {
    const auto none = task.missed();
    if (none.changed) {
      edit().setCacheMiss("kept results were not to be had in time");
    }
    apply(task, none, state().getAttempt());
    return {};
  }
  const auto effects = task.retry_due();
  apply(task, effects, state().getAttempt());
  return {};
}

async<> task_actor::cancel(cancel_params params) {
  if (!spec_.contains(spec_row)) {
    return {};
  }
  auto task = attempts();
  if (task.row().looking_up) {
    record_unstarted(AttemptEnd::CANCELLED, std::string{params.reason()});
  }
  const auto effects = task.cancel(params.reason());
  apply(task, effects, state().getAttempt());
  return {};
}

// A task that its run has not begun yet is told again.
async<> task_actor::preempt(preempt_params params) {
  if (!spec_.contains(spec_row)) {
    return ended_before_it_began();
  }
  auto task = attempts();
  const auto effects =
      task.preempt(params.attempt(), spec().getWish().getPreemptible(), params.reason());
  apply(task, effects, params.attempt());
  return {};
}

// Tells the run.
void task_actor::report() {
  const auto root = state();
  schemas::run_interface::task_changed_params params;
  auto made = params.build();
  made.setEpoch(spec().getEpoch());
  made.setRound(spec().getRound());
  auto status = made.initStatus();
  status.setName(spec().getName());
  status.setTask(spec().getTask());
  status.setIndex(spec().getIndex());
  status.setLabel(spec().getLabel());
  status.setState(root.getState());
  status.setAttempt(root.getAttempt());
  status.setExitCode(root.getExitCode());
  status.setSignal(root.getSignal());
  status.setReason(root.getReason());
  status.setStartedAt(root.getStartedAt());
  status.setFinishedAt(root.getFinishedAt());
  status.setOutputs(root.getOutputs());
  status.setArtifacts(root.getArtifacts());
  status.setCachedFrom(root.getCachedFrom());
  send(ref<schemas::Run>(text_of(spec().getRun())).task_changed(std::move(params)));
}

async<> task_actor::forget() {
  erase_state();
  return {};
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
  made.setCommand(state().getOnRetry() ? spec().getArgvOnRetry() : spec().getArgv());
  if (spec().hasCall()) {
    tell_call(spec().getCall(), made.initCommand(3));
  }
  made.setArtifacts(state().getArtifacts());
  made.setCachedFrom(state().getCachedFrom());
  made.setCacheMiss(state().getCacheMiss());
  made.setPool(wish_of(spec().getWish()).pool.c_str());
  auto list = made.initAttempts(static_cast<unsigned>(attempts_.size()));
  unsigned at = 0;
  attempts_.for_each([&](std::string_view, schemas::Attempt::Reader row) {
    list.setWithCaveats(at++, row);
    return true;
  });
  co_return results;
}

}  // namespace millrace::actors
