// SPDX-License-Identifier: MIT
// Approvals: what a run asks of people. The run has their instances itself; no task actor, executor
// or slot is held while it waits.
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
}  // namespace

void run_actor::ask(instance_id id, run_effects& effects) {
  const auto prompt = graph_->prompt(id);
  const auto limits = graph_->limits(id);
  if (!prompt || !limits) {
    end_here(id, TaskState::ERRORED,
             prompt ? limits.error().text() : "`approval`: " + prompt.error().text(), {}, effects);
    return;
  }
  auto row = begin_row(id);
  row.setState(TaskState::RUNNING);
  row.setReason(("waits for approval: " + *prompt).c_str());
  row.setStartedAt(nanoseconds(now()));
  count(TaskState::RUNNING, 1);
  const auto reader = row.asReader();
  add_event(&reader);
  if (limits->timeout) {
    set_reminder(std::string{step_reminder} + graph_->name_of(id), now() + *limits->timeout);
  }
}

// The approval of that name, if it waits for an answer.
std::optional<instance_id> run_actor::asking(std::string_view task) const {
  const auto id = graph_ && !over() ? graph_->instance_named(task) : std::nullopt;
  if (!id || graph_->task(id->task).approval.empty()) {
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
  if (const auto id = asking(task)) {
    answer(
        *id, TaskState::TIMED_OUT,
        "nobody answered within " + format_duration(timeout_of(*id).value_or(runtime::duration{})),
        {});
  }
}

async<> run_actor::decide(decide_params params) {
  if (auto known = check_known(); !known) {
    co_await runtime::fail(std::move(known).error());
  }
  const std::string name{params.task()};
  const auto id = asking(name);
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
