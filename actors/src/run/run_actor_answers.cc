// SPDX-License-Identifier: MIT
// What people ask of a run.
#include <capnp/dynamic.h>

#include <algorithm>
#include <tuple>

#include "millrace/actors/submission.h"
#include "pipeline/names.h"
#include "run/run_actor.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::result;
using schemas::TaskState;

namespace {

constexpr std::uint32_t tasks_page_max = 10'000;
constexpr std::uint32_t tasks_page_default = 1'000;
constexpr std::uint32_t events_page_max = 1'000;
constexpr std::uint32_t artifacts_page_max = 1'000;
// How long who asks for the events of an unknown run waits for it to begin.
constexpr std::uint32_t begin_wait_ms_max = 1'000;

}  // namespace

result<void> run_actor::check_known() const {
  if (!pinned_.contains(pinned_row) || state().getRemoving()) {
    return error{errc::not_found, "there is no run '" + key() + "'"};
  }
  return {};
}

async<run_actor::status_results> run_actor::status() {
  if (auto known = check_known(); !known) {
    co_return std::move(known).error();
  }
  const auto root = state();
  const auto pinned = *pinned_.get(pinned_row);
  status_results results;
  auto made = results.build().initRun();
  made.setId(key().c_str());
  made.setProject(root.getProject());
  made.setPipeline(root.getPipeline());
  made.setVersion(root.getVersion());
  made.setState(root.getState());
  made.setReason(root.getReason());
  made.setParams(pinned.getParams());
  made.setLabels(pinned.getLabels());
  made.setCreatedAt(root.getCreatedAt());
  made.setFinishedAt(root.getFinishedAt());
  made.setTasks(root.getTasks());
  made.setSchedule(root.getSchedule());
  made.setScheduledAt(root.getScheduledAt());
  made.setBackfill(root.getBackfill());
  made.setPriority(pinned.getPriority());
  made.setOnly(pinned.getOnly());
  made.setNoCache(pinned.getNoCache());
  made.setRerunOf(root.getRerunOf());
  made.setParent(root.getParent());
  made.setParentTask(root.getParentTask());
  made.setOutputs(root.getOutputs());
  made.setTriggeredBy(root.getTriggeredBy());
  made.setWebhook(root.getWebhook());
  made.setWatch(root.getWatch());
  made.setCheck(root.getCheck());
  made.setQueued(root.getQueued().size() > 0);
  made.setPaused(root.getPaused());
  if (const auto why = waits_for(); !why.empty()) {
    made.setReason(why.c_str());
  }
  if (pinned.hasTrace()) {
    made.setTraceId(to_string(submitted_from().trace).c_str());
  }
  co_return results;
}

void run_actor::put_labels(schemas::TaskStatus::Builder status, std::uint32_t task) const {
  const auto& labels = graph_->task(task).labels;
  auto list = status.initLabels(static_cast<unsigned>(labels.size()));
  unsigned at = 0;
  for (const auto& [name, text] : labels) {
    list[at].setName(name.c_str());
    list[at++].setValue(text.c_str());
  }
}

namespace {

// Its row, but for texts of large outputs, which may be 1 MiB of each task of a page. Copied
// without them: what a message once held it has for good.
void tell_row(schemas::TaskStatus::Builder into, schemas::TaskStatus::Reader row) {
  capnp::DynamicStruct::Builder to{into};
  const capnp::DynamicStruct::Reader from{row};
  for (const auto field : from.getSchema().getFields()) {
    if (from.has(field) && field.getProto().getName() != "outputs") {
      to.set(field, from.get(field));
    }
  }
  const auto written = row.getOutputs();
  auto outputs = into.initOutputs(written.size());
  for (unsigned at = 0; at < outputs.size(); ++at) {
    outputs[at].setName(written[at].getName());
    if (written[at].hasKept()) {
      outputs[at].setKept(written[at].getKept());
    } else {
      outputs[at].setValue(written[at].getValue());
    }
  }
}

}  // namespace

// One that has no row yet waits.
void run_actor::tell_waiting(schemas::TaskStatus::Builder status, instance_id id) const {
  status.setName(graph_->name_of(id).c_str());
  status.setTask(graph_->task(id.task).name.c_str());
  status.setIndex(id.index);
  status.setLabel(graph_->instance(id).label.c_str());
  status.setState(TaskState::WAITING);
  const auto of_run = waits_for();
  const auto why = of_run.empty() && !over() ? graph_->waiting_text(id) : of_run;
  status.setReason(why.c_str());
}

async<run_actor::tasks_results> run_actor::tasks(tasks_params params) {
  if (auto known = check_known(); !known) {
    co_return std::move(known).error();
  }
  if (!graph_) {
    co_return no_graph();
  }
  const auto after = params.cursor();
  const auto last = graph_->instance_named(after);
  auto at = graph_->next_instance(last);
  if (!after.empty() && !last) {
    const auto task = graph_->find(after.substr(0, after.find('[')));
    if (!task) {
      co_return error{errc::invalid_argument, "run '" + key() + "' has no task '" +
                                                  std::string{after} + "' to go on after"};
    }
    at = instance_id{*task, 0};  // its list has become known since
  }
  const auto limit =
      params.limit() == 0 ? tasks_page_default : std::min(params.limit(), tasks_page_max);
  std::vector<instance_id> page;
  const auto labels = parse_label_filter(params.label());
  if (!labels) {
    co_return error{labels.error()};
  }
  for (; at && page.size() < limit; at = graph_->next_instance(at)) {
    if (has_labels(graph_->task(at->task).labels, *labels)) {
      page.push_back(*at);
    }
  }
  tasks_results results;
  auto list = results.build().initTasks(static_cast<unsigned>(page.size()));
  for (unsigned index = 0; index < page.size(); ++index) {
    if (const auto row = instances_.get(row_of(page[index]))) {
      tell_row(list[index], row->reader());
    } else {
      tell_waiting(list[index], page[index]);
    }
    put_labels(list[index], page[index].task);
  }
  results.build().setNextCursor(at ? graph_->name_of(page.back()).c_str() : "");
  co_return results;
}

async<run_actor::artifacts_results> run_actor::artifacts(artifacts_params params) {
  if (auto known = check_known(); !known) {
    co_return std::move(known).error();
  }
  const auto limit =
      params.limit() == 0 ? artifacts_page_max : std::min(params.limit(), artifacts_page_max);
  const std::string after{params.cursor()};
  std::vector<schemas::TaskStatus::Reader> page;
  std::string last;
  auto more = false;
  unsigned count = 0;
  instances_.for_each(
      [&](std::string_view row, schemas::TaskStatus::Reader status) {
        const auto left = status.getArtifacts().size();
        if (row == after || left == 0) {
          return true;
        }
        more = count >= limit;
        if (!more) {
          page.push_back(status);
          last = row;
          count += left;
        }
        return !more;
      },
      after);
  artifacts_results results;
  auto list = results.build().initArtifacts(count);
  unsigned at = 0;
  for (const auto& status : page) {
    for (auto each : status.getArtifacts()) {
      list.setWithCaveats(at++, each);
    }
  }
  results.build().setNextCursor(more ? last.c_str() : "");
  co_return results;
}

async<run_actor::task_results> run_actor::task(task_params params) {
  if (auto known = check_known(); !known) {
    co_return std::move(known).error();
  }
  if (!graph_) {
    co_return no_graph();
  }
  const auto id = graph_->instance_named(params.name());
  if (!id) {
    co_return error{errc::not_found,
                    "run '" + key() + "' has no task '" + std::string{params.name()} + "'"};
  }
  task_results results;
  if (const auto row = instances_.get(row_of(*id))) {
    tell_row(results.build().initTask(), row->reader());
  } else {
    tell_waiting(results.build().initTask(), *id);
  }
  put_labels(results.build().getTask(), id->task);
  co_return results;
}

async<run_actor::events_results> run_actor::events(events_params params) {
  if (!pinned_.contains(pinned_row) && params.wait_ms() > 0) {
    // One that was just submitted: its beginning is on the way.
    std::ignore = co_await wait(
        events_signal, std::chrono::milliseconds{std::min(params.wait_ms(), begin_wait_ms_max)});
  }
  if (auto known = check_known(); !known) {
    co_return std::move(known).error();
  }
  if (params.after() > state().getEventCount()) {  // who waits for more would miss what comes
    co_return error{errc::invalid_argument,
                    "the latest event of the run is " + std::to_string(state().getEventCount()) +
                        "; there is none " + std::to_string(params.after()) + " to go on after"};
  }
  if (state().getEventCount() <= params.after() && !over() && params.wait_ms() > 0) {
    std::ignore = co_await wait(events_signal, std::chrono::milliseconds{params.wait_ms()});
  }
  const auto limit =
      params.limit() == 0 ? events_page_max : std::min(params.limit(), events_page_max);
  std::vector<schemas::RunEvent::Reader> page;
  events_.for_each(
      [&](std::string_view, schemas::RunEvent::Reader event) {
        page.push_back(event);
        return page.size() < limit;
      },
      event_row(params.after() + 1));
  events_results results;
  auto list = results.build().initEvents(static_cast<unsigned>(page.size()));
  for (unsigned at = 0; at < page.size(); ++at) {
    list.setWithCaveats(at, page[at]);
  }
  const auto last = page.empty() ? params.after() : page.back().getSequence();
  results.build().setEnded(over() && last >= state().getEventCount());
  co_return results;
}

}  // namespace millrace::actors
