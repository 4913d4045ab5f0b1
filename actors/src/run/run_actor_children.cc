// SPDX-License-Identifier: MIT
// Tasks that are runs of pipelines, and a run that is a task of another. As with approvals, the run
// has their instances itself: no slot is held while the other one goes on.
#include <algorithm>

#include "millrace/actors/duration_text.h"
#include "pipeline/names.h"
#include "run/run_actor.h"
#include "run/run_spans.h"

namespace millrace::actors {

using runtime::async;
using runtime::ref;
using schemas::RunState;
using schemas::TaskState;

namespace {

TaskState task_state_of(RunState state) {
  switch (state) {
    case RunState::SUCCEEDED:
      return TaskState::SUCCEEDED;
    case RunState::CANCELLED:
      return TaskState::CANCELLED;
    case RunState::TIMED_OUT:
      return TaskState::TIMED_OUT;
    case RunState::RUNNING:
    case RunState::FAILED:
      break;
  }
  return TaskState::FAILED;
}

}  // namespace

void run_actor::start_child(instance_id id, run_effects& effects) {
  const auto& task = graph_->task(id.task);
  auto given = graph_->child_params(id);
  const auto limits = graph_->limits(id);
  if (!given || !limits || state().getDepth() >= run_depth_max) {
    end_here(id, TaskState::ERRORED,
             !given    ? given.error().text()
             : !limits ? limits.error().text()
                       : "there are " + std::to_string(run_depth_max) +
                             " runs above its own already: does the pipeline start itself without "
                             "end?",
             {}, effects);
    return;
  }
  const auto child = run_ids_.next(now());
  auto row = begin_row(id);
  row.setState(TaskState::RUNNING);
  row.setReason(("run " + child + " of pipeline " + task.pipeline).c_str());
  row.setStartedAt(nanoseconds(now()));
  row.setFinishedAt(0);
  row.setChild(child.c_str());
  count(TaskState::RUNNING, 1);
  const auto reader = row.asReader();
  add_event(&reader);
  if (limits->timeout) {
    set_reminder(std::string{step_reminder} + graph_->name_of(id), now() + *limits->timeout);
  }
  schemas::pipeline_interface::submit_child_params params;
  auto made = params.build();
  made.setRun(child.c_str());
  made.setParams(given->c_str());
  made.setParent(key().c_str());
  made.setParentTask(graph_->name_of(id).c_str());
  made.setDepth(state().getDepth() + 1);
  made.setPriority(pinned_.get(pinned_row)->getPriority());
  made.setNoCache(pinned_.get(pinned_row)->getNoCache());
  store_place(run_place(submitted_from(), key(), began_at()), made.initTrace());
  send(ref<schemas::Pipeline>(text_of(state().getProject()) + "/" + task.pipeline)
           .submit_child(std::move(params)));
}

// It tells of its end when it has tidied up.
void run_actor::withdraw_child(instance_id id, const std::string& reason) {
  const auto child = text_of(instances_.get(row_of(id))->getChild());
  send(ref<schemas::Pipeline>(text_of(state().getProject()) + "/" + graph_->task(id.task).pipeline)
           .withdraw_child(child, reason, state().getForced()));
}

void run_actor::child_timed_out(std::string_view task) {
  if (const auto id = waiting_at(task, step_kind::child)) {
    withdraw_child(*id, "the timeout of " +
                            format_duration(timeout_of(*id).value_or(runtime::duration{})) +
                            " of the task " + graph_->name_of(*id) + " passed");
  }
}

async<> run_actor::child_told(child_told_params params) {
  const auto id = waiting_at(params.task(), step_kind::child);
  if (!id) {
    return {};
  }
  const auto row = *instances_.get(row_of(*id));
  const std::string child{params.run()};
  if (text_of(row.getChild()) != child) {
    return {};
  }
  const auto limit = timeout_of(*id);
  const auto late = limit && nanoseconds(now()) - row.getStartedAt() >= limit->count();
  const auto state = params.state() == RunState::CANCELLED && late ? TaskState::TIMED_OUT
                                                                   : task_state_of(params.state());
  output_list outputs;
  for (const auto each : params.outputs()) {
    outputs.emplace_back(text_of(each.getName()), text_of(each.getValue()));
  }
  if (std::none_of(outputs.begin(), outputs.end(),
                   [](const auto& each) { return each.first == child_run_output; })) {
    outputs.emplace_back(child_run_output, child);
  }
  const std::string reason{params.reason()};
  answer(*id, state,
         state == TaskState::SUCCEEDED
             ? "run " + child
             : "run " + child + " " + std::string{to_string(params.state())} +
                   (reason.empty() ? "" : ": " + reason),
         outputs);
  return {};
}

// To whoever has it as a task.
void run_actor::tell_parent() {
  const auto root = state();
  if (root.getParent().size() == 0 || !over()) {
    return;
  }
  schemas::run_interface::child_told_params params;
  auto made = params.build();
  made.setTask(root.getParentTask());
  made.setRun(key().c_str());
  made.setState(root.getState());
  made.setReason(root.getReason());
  made.setOutputs(root.getOutputs());
  send(ref<schemas::Run>(text_of(root.getParent())).child_told(std::move(params)));
}

}  // namespace millrace::actors
