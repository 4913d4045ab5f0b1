// SPDX-License-Identifier: MIT
// Approvals and callbacks: what a run asks of people and of foreign systems. The run has their
// instances itself; no task actor, executor or slot is held while it waits.
#include "millrace/actors/callback.h"
#include "millrace/actors/duration_text.h"
#include "pipeline/names.h"
#include "run/run_actor.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using schemas::TaskState;

namespace {
// It is stored with the run, its events and its outputs.
constexpr std::size_t approval_comment_bytes_max = 4'096;

output_list outputs_of(const schemas::CallbackAnswer::Reader& answer) {
  output_list made;
  for (const auto each : answer.getOutputs()) {
    made.emplace_back(text_of(each.getName()), text_of(each.getValue()));
  }
  return made;
}

bool is_same(const schemas::CallbackAnswer::Reader& a, const schemas::CallbackAnswer::Reader& b) {
  return a.getState() == b.getState() && a.getReason() == b.getReason() &&
         outputs_of(a) == outputs_of(b);
}

}  // namespace

void run_actor::ask(instance_id id, run_effects& effects) {
  const std::string what = graph_->task(id.task).callback ? "callback" : "approval";
  const auto prompt = graph_->prompt(id);
  const auto limits = graph_->limits(id);
  if (!prompt || !limits) {
    end_here(id, TaskState::ERRORED,
             prompt ? limits.error().text() : "`" + what + "`: " + prompt.error().text(), {},
             effects);
    return;
  }
  if (const auto told = callbacks_.get(graph_->name_of(id))) {  // before it was asked
    end_here(id, told->getState(), text_of(told->getReason()), outputs_of(*told), effects);
    return;
  }
  auto row = begin_row(id);
  row.setState(TaskState::RUNNING);
  row.setReason(("waits for " + what + (prompt->empty() ? "" : ": " + *prompt)).c_str());
  row.setStartedAt(nanoseconds(now()));
  count(TaskState::RUNNING, 1);
  const auto reader = row.asReader();
  add_event(&reader);
  if (limits->timeout) {
    set_reminder(std::string{step_reminder} + graph_->name_of(id), now() + *limits->timeout);
  }
}

std::optional<instance_id> run_actor::waiting_at(std::string_view task, step_kind kind) const {
  const auto id = graph_ && !over() ? graph_->instance_named(task) : std::nullopt;
  if (!id || step_of(graph_->task(id->task)) != kind) {
    return std::nullopt;
  }
  const auto row = instances_.get(row_of(*id));
  return row && row->getState() == TaskState::RUNNING ? id : std::nullopt;
}

void run_actor::answer(instance_id id, TaskState state, const std::string& reason,
                       const output_list& outputs) {
  run_effects effects;
  end_here(id, state, reason, outputs, effects);
  apply(std::move(effects));
}

// Of a task without a command. What could not be filled in has not been started.
std::optional<runtime::duration> run_actor::timeout_of(instance_id id) const {
  const auto limits = graph_->limits(id);
  return limits ? limits->timeout : std::nullopt;
}

void run_actor::not_answered(std::string_view task) {
  for (const auto kind : {step_kind::approval, step_kind::callback}) {
    if (const auto id = waiting_at(task, kind)) {
      answer(*id, TaskState::TIMED_OUT,
             (kind == step_kind::approval ? "nobody answered within " : "no word came within ") +
                 format_duration(timeout_of(*id).value_or(runtime::duration{})),
             {});
    }
  }
}

// The token is compared in the same time wherever it differs.
std::optional<instance_id> run_actor::called(std::string_view token) const {
  const auto place = callback_place_of(token);
  const auto at = graph_ && place ? graph_->find(place->task) : std::nullopt;
  const auto wanted = at ? graph_->callback_token(*at) : std::string{};
  return at && !state().getRemoving() && is_same_token(token, wanted)
             ? std::optional{instance_id{*at, 0}}
             : std::nullopt;
}

async<run_actor::callback_results> run_actor::callback(callback_params params) {
  const auto id = called(params.token());
  if (!id) {
    co_await runtime::fail(errc::not_found, "no task waits for this callback");
  }
  const auto name = graph_->name_of(*id);
  const auto given = params.read().getAnswer();
  if (const auto before = callbacks_.get(name)) {
    if (!is_same(*before, given)) {
      const auto why = "the task '" + name + "' was told otherwise already: " +
                       std::string{to_string(before->getState())};
      co_await runtime::fail(errc::failed_precondition, why);
    }
    co_return callback_results{true};
  }
  const auto row = instances_.get(row_of(*id));
  const auto waits = waiting_at(name, step_kind::callback).has_value();
  if (over() || (row && !waits)) {
    std::string why = "the run has ended";
    if (row) {
      why = "the task '" + name + "' has ended: " + std::string{to_string(row->getState())};
    }
    co_await runtime::fail(errc::failed_precondition, why);
  }
  callbacks_.put(name, given);
  if (waits) {
    answer(*id, given.getState(), text_of(given.getReason()), outputs_of(given));
  }
  co_return callback_results{false};
}

async<> run_actor::decide(decide_params params) {
  if (auto known = check_known(); !known) {
    co_await runtime::fail(std::move(known).error());
  }
  const std::string name{params.task()};
  const auto id = waiting_at(name, step_kind::approval);
  if (params.comment().size() > approval_comment_bytes_max) {
    co_await runtime::fail(errc::invalid_argument,
                           "a comment has at most " + std::to_string(approval_comment_bytes_max) +
                               " bytes; write more to a place that it names");
  }
  if (!id && graph_ && graph_->find(name) && graph_->fans_out(*graph_->find(name))) {
    co_await runtime::fail(
        errc::failed_precondition,
        "'" + name + "' is a fan-out: name one of it, such as '" + name + "[0]'");
  }
  if (!id && graph_ && !graph_->instance_named(name)) {
    co_await runtime::fail(errc::not_found, "run '" + key() + "' has no task '" + name + "'");
  }
  if (!id) {
    co_await runtime::fail(errc::failed_precondition,
                           "the task '" + name + "' waits for no approval");
  }
  const std::string comment{params.comment()};
  const auto reason = (params.approved() ? "approved by " : "rejected by ") +
                      std::string{params.by()} + (comment.empty() ? "" : ": " + comment);
  answer(*id, params.approved() ? TaskState::SUCCEEDED : TaskState::FAILED, reason,
         {{"comment", comment}, {"by", std::string{params.by()}}});
}

}  // namespace millrace::actors
