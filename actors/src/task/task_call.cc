// SPDX-License-Identifier: MIT
// A task that calls an actor in place of a command. An attempt is one keyed call: however often the
// silo of the task dies meanwhile, the call takes effect at most once. The next attempt is another.
#include <nlohmann/json.hpp>
#include <tuple>

#include "millrace/actors/duration_text.h"
#include "millrace/actors/process_outputs.h"
#include "millrace/runtime/json.h"
#include "pipeline/names.h"
#include "run/run_graph.h"
#include "task/task_actor.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::AttemptEnd;
using schemas::TaskState;

namespace {

// Room for the call to end by its own deadline.
constexpr runtime::duration call_slack = std::chrono::seconds{10};
constexpr unsigned attempt_digits = 6;
constexpr const char* call_signal = "call";
constexpr const char* call_timer = "call";
// After the answer `unavailable`.
constexpr runtime::duration call_again_after = std::chrono::milliseconds{200};

// A text as it is, anything else as JSON; a null is none.
result<output_list> outputs_in(const std::string& answer) {
  output_list made;
  std::size_t bytes = 0;
  const auto fields = nlohmann::ordered_json::parse(answer);
  for (const auto& [name, content] : fields.items()) {
    if (content.is_null()) {
      continue;
    }
    auto text = content.is_string() ? content.get<std::string>() : content.dump();
    if (text.find('\0') != std::string::npos) {
      return error{errc::invalid_argument,
                   "the field '" + name + "' of the answer has a NUL, which no output may have"};
    }
    bytes += name.size() + text.size();
    made.emplace_back(name, std::move(text));
  }
  if (bytes > output_bytes_max || made.size() > task_outputs_max) {
    return error{errc::too_large, "the answer has " + std::to_string(made.size()) + " fields and " +
                                      std::to_string(bytes) + " bytes; outputs are at most " +
                                      std::to_string(task_outputs_max) + " and " +
                                      std::to_string(output_bytes_max)};
  }
  return made;
}

}  // namespace

bool task_actor::is_calling(std::uint32_t attempt) const {
  return spec_.contains(spec_row) && spec().hasCall() && state().getState() == TaskState::RUNNING &&
         state().getAttempt() == attempt;
}

result<runtime::call_spec> task_actor::prepared_call() const {
  if (calls_ == nullptr) {
    return error{errc::unimplemented, "no actors can be called here"};
  }
  return calls_->prepare(spec().getCall());
}

// That of the definition, or else what the method's schema says.
runtime::duration task_actor::call_limit() const {
  if (spec().getTimeoutNs() > 0) {
    return runtime::duration{spec().getTimeoutNs()};
  }
  const auto prepared = prepared_call();
  return prepared ? prepared->timeout
                  : runtime::duration{std::chrono::milliseconds{runtime::call_timeout_ms_default}};
}

void task_actor::begin_call(std::uint32_t attempt) {
  auto task = attempts();
  const auto effects = task.started(attempt, {});
  auto row = attempts_.edit(padded(attempt, attempt_digits));
  row.setEnd(AttemptEnd::RUNNING);
  row.setStartedAt(nanoseconds(now()));
  if (state().getStartedAt() == 0) {
    edit().setStartedAt(nanoseconds(now()));
  }
  apply(task, effects, attempt);
  const auto longest = call_limit() + call_slack;
  set_reminder(call_reminder, now() + longest);
  send(ref<schemas::Task>(key()).call_actor(attempt).timeout(longest));
}

void task_actor::end_call(AttemptEnd end, const std::string& text) {
  cancel_reminder(call_reminder);
  notify(call_signal);
  runtime::message<schemas::AttemptReport> report;
  auto made = report.build();
  made.setNumber(state().getAttempt());
  made.setEnd(end);
  made.setText(text.c_str());
  finish(report.read());
}

void task_actor::call_is_overdue() {
  if (is_calling(state().getAttempt())) {
    end_call(AttemptEnd::TIMED_OUT, "no answer within " + format_duration(call_limit()));
  }
}

void task_actor::take_answer(const runtime::method_info& method,
                             const runtime::any_message& answer) {
  std::string text;
  runtime::to_json(method.results(), answer, text);
  const auto outputs = outputs_in(text);
  if (!outputs) {
    end_call(AttemptEnd::REFUSED, outputs.error().text());
    return;
  }
  cancel_reminder(call_reminder);
  notify(call_signal);
  runtime::message<schemas::AttemptReport> report;
  auto made = report.build();
  made.setNumber(state().getAttempt());
  made.setEnd(AttemptEnd::ANSWERED);
  auto list = made.initOutputs(static_cast<unsigned>(outputs->size()));
  for (unsigned at = 0; at < list.size(); ++at) {
    list[at].setName((*outputs)[at].first.c_str());
    list[at].setValue((*outputs)[at].second.c_str());
  }
  finish(report.read());
}

// Durable, by its number: it is answered when the attempt has ended, so that a later life of the
// silo goes on with it. The call itself is a turn beside this one (number 0): nothing can take it
// back, and what waits behind a send would wait for it.
async<> task_actor::call_actor(call_actor_params params) {
  const auto attempt = params.attempt();
  if (attempt == 0) {
    co_await make_call();
    co_return;
  }
  if (!is_calling(attempt)) {
    co_return;
  }
  const auto longest = call_limit() + call_slack;
  tell(ref<schemas::Task>(key()).call_actor(0).timeout(longest));
  std::ignore = co_await wait(call_signal, longest);
}

// Changes nothing before there is an answer, so that it may be made again.
async<> task_actor::make_call() {
  const auto attempt = state().getAttempt();
  if (!is_calling(attempt)) {
    co_return;
  }
  auto prepared = prepared_call();
  if (!prepared) {
    end_call(AttemptEnd::NOT_STARTED, prepared.error().text());
    co_return;
  }
  const auto& method = prepared->interface->methods[prepared->method];
  const auto started = attempts_.get(padded(attempt, attempt_digits))->getStartedAt();
  const auto ends_at = runtime::wall_time{runtime::duration{started}} + call_limit();
  if (ends_at <= now()) {
    call_is_overdue();
    co_return;
  }
  prepared->timeout = ends_at - now();
  prepared->idempotency_key = token(attempt);
  const auto answer = co_await as_result(runtime::call<runtime::any_message>{*std::move(prepared)});
  if (!is_calling(attempt)) {
    co_return;
  }
  if (answer) {
    take_answer(method, *answer);
  } else if (answer.error().code() == errc::unavailable && now() + call_again_after < ends_at) {
    set_timer(call_timer, call_again_after);  // of a silo that stops the next life goes on
  } else {
    end_by_error(answer.error());
  }
}

async<> task_actor::on_timer(std::string) {
  if (is_calling(state().getAttempt())) {
    tell(ref<schemas::Task>(key()).call_actor(0).timeout(call_limit() + call_slack));
  }
  return {};
}

void task_actor::end_by_error(const error& why) {
  if (why.code() == errc::deadline_exceeded || why.code() == errc::unavailable) {
    end_call(AttemptEnd::TIMED_OUT,
             "no answer within " + format_duration(call_limit()) + ": " + why.to_string());
    return;
  }
  switch (runtime::retry_of(why.code())) {
    case runtime::retry_class::safe:
      end_call(AttemptEnd::NOT_STARTED, why.to_string());
      break;
    case runtime::retry_class::unknown:
      end_call(AttemptEnd::UNANSWERED, why.to_string());
      break;
    case runtime::retry_class::never:
      end_call(AttemptEnd::REFUSED, why.to_string());
      break;
  }
}

}  // namespace millrace::actors
