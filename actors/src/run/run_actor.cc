// SPDX-License-Identifier: MIT
#include "run/run_actor.h"

#include <algorithm>
#include <tuple>

#include "definition/compiled.h"
#include "millrace/actors/params.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::RunState;
using schemas::TaskState;

namespace {

constexpr const char* pinned_row = "pinned";
constexpr const char* timeout_reminder = "timeout";
constexpr const char* events_signal = "events";
constexpr std::uint32_t tasks_page_max = 10'000;
constexpr std::uint32_t tasks_page_default = 1'000;
constexpr std::uint32_t events_page_max = 1'000;
constexpr unsigned event_digits = 12;
// Tasks that one step of a removal tells: bounds its commit.
constexpr std::size_t removed_at_once = 1'000;
// How long who asks for the events of an unknown run waits for it to begin.
constexpr std::uint32_t begin_wait_ms_max = 1'000;

// What a command may rely on before the definition adds to it.
constexpr std::pair<const char*, const char*> base_environment[] = {
    {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    {"LANG", "C.UTF-8"},
};

output_list outputs_of(schemas::TaskStatus::Reader row) {
  output_list outputs;
  for (auto each : row.getOutputs()) {
    outputs.emplace_back(text_of(each.getName()), text_of(each.getValue()));
  }
  return outputs;
}

}  // namespace

// --- beginning and coming back -------------------------------------------------------------------

result<run_graph> run_actor::graph_of_pinned(schemas::RunPinned::Reader pinned) const {
  auto read = pinned.hasCompiled() ? definition_of(pinned.getCompiled())
                                   : from_json(text_of(pinned.getDefinition()));
  if (!read) {
    return std::move(read).error();
  }
  auto bound = bind_params_json(*read, text_of(pinned.getParams()));
  if (!bound) {
    return error{errc::invalid_argument,
                 "its parameters do not fit: " + bound.diagnostics.front().text};
  }
  return run_graph{*std::move(read), std::move(bound), key()};
}

// A newer program may refuse what an older one has stored. The run cannot go on, and says why.
void run_actor::fail_without_graph(const error& why) {
  auto root = edit();
  root.setState(RunState::FAILED);
  root.setReason(("the definition that the run was begun with cannot be used: " + why.text() +
                  "; apply it again and submit anew")
                     .c_str());
  root.setFinishedAt(nanoseconds(now()));
  cancel_reminder(timeout_reminder);
  add_event(nullptr);
  report();
  notify(events_signal);
  set_idle_timeout(ended_idle_timeout);
}

error run_actor::no_graph() const {
  return {errc::failed_precondition, text_of(state().getReason())};
}

async<> run_actor::on_activate() {
  if (!pinned_.contains(pinned_row)) {
    set_idle_timeout(runtime::duration{});  // nobody knows it: asking leaves nothing
    co_return;
  }
  if (over()) {
    set_idle_timeout(ended_idle_timeout);
  }
  if (state().getRemoving()) {
    co_return;
  }
  auto graph = graph_of_pinned(pinned_.get(pinned_row)->reader());
  if (!graph) {
    if (!over()) {
      fail_without_graph(graph.error());
    }
    co_return;
  }
  graph_.emplace(*std::move(graph));
  instances_.for_each([this](std::string_view row_key, schemas::TaskStatus::Reader row) {
    const auto at = graph_->find(text_of(row.getTask()));
    if (at && graph_->fans_out(*at) && !row_key.ends_with(']')) {
      graph_->restore_whole(*at, row.getState(), text_of(row.getReason()));
    } else if (at) {
      graph_->restore({*at, row.getIndex()}, row.getState(), outputs_of(row),
                      text_of(row.getReason()));
    }
    return true;
  });
  if (over() || state().getEnding()) {
    graph_->restore_stopping(text_of(state().getReason()), over() || state().getForced()
                                                               ? stop_reach::everything
                                                               : stop_reach::ordinary);
  }
  auto effects = graph_->begin();
  if (!over()) {
    apply(std::move(effects));
  }
}

async<> run_actor::begin(begin_params params) {
  const auto from = params.read();
  if (state().getRemoving()) {
    co_await runtime::fail(errc::unavailable, "the earlier run of this id is being removed");
  }
  if (pinned_.contains(pinned_row)) {
    if (state().getProject() != from.getProject() || state().getPipeline() != from.getPipeline()) {
      // Two pipelines were given one id at the same time; this run is the other's.
      send(ref<schemas::Pipeline>(text_of(from.getProject()) + "/" + text_of(from.getPipeline()))
               .run_removed(key(), 0));
    }
    co_return;
  }
  set_idle_timeout(std::nullopt);
  auto pinned = pinned_.edit(pinned_row);
  if (from.hasCompiled()) {
    pinned.setCompiled(from.getCompiled());
  } else {
    pinned.setDefinition(from.getDefinition());
  }
  pinned.setParams(from.getParams());
  pinned.setLabels(from.getLabels());
  auto root = edit();
  root.setProject(from.getProject());
  root.setPipeline(from.getPipeline());
  root.setVersion(from.getVersion());
  root.setCreatedAt(from.getCreatedAt());
  root.setState(RunState::RUNNING);
  auto graph = graph_of_pinned(pinned.asReader());
  if (!graph) {
    fail_without_graph(graph.error());
    co_return;
  }
  graph_.emplace(*std::move(graph));
  limit_time(runtime::wall_time{runtime::duration{from.getCreatedAt()}});
  add_event(nullptr);
  apply(graph_->begin());
}

void run_actor::limit_time(runtime::wall_time start) {
  if (const auto limit = graph_->definition().timeout) {
    set_reminder(timeout_reminder, start + *limit);
  }
}

// Tells the pipeline's list of runs.
void run_actor::report(std::int64_t ended_before) {
  const auto root = state();
  send(ref<schemas::Pipeline>(text_of(root.getProject()) + "/" + text_of(root.getPipeline()))
           .run_ended(key(), root.getState(), root.getFinishedAt(), root.getVersion(),
                      root.getCreatedAt(), ended_before));
}

async<> run_actor::on_reminder(std::string) {
  if (graph_ && !over() && !state().getEnding()) {
    stop(RunState::TIMED_OUT,
         "the run's timeout of " +
             std::to_string(
                 std::chrono::duration_cast<std::chrono::seconds>(*graph_->definition().timeout)
                     .count()) +
             " s passed",
         stop_reach::ordinary);
  }
  return {};
}

// --- effects -------------------------------------------------------------------------------------

std::string run_actor::row_of(instance_id id) const {
  const auto whole = graph_->name_of(id) == graph_->task(id.task).name;
  return instance_row(graph_->task(id.task).name, id.index, !whole);
}

void run_actor::apply(run_effects effects) {
  // Starting may fail (an expression without a value), which is an event of its own.
  for (;;) {
    for (const auto& each : effects.settled) {
      settle(each);
    }
    for (const auto& each : effects.cancel) {
      send(ref<schemas::Task>(key() + "/" + graph_->name_of(each.id))
               .cancel(state().getEnding() ? text_of(state().getReason()) : each.reason));
    }
    run_effects more;
    for (const auto id : effects.start) {
      start(id, more);
    }
    const auto ended = effects.ended || more.ended;
    if (more.start.empty() && more.settled.empty() && more.cancel.empty()) {
      count_waiting();
      if (ended) {
        finish();
      }
      break;
    }
    effects = std::move(more);
    effects.ended = ended;
  }
  notify(events_signal);
}

void run_actor::start(instance_id id, run_effects& effects) {
  auto spec = spec_of(id);
  auto row = instances_.edit(row_of(id));
  row.setName(graph_->name_of(id).c_str());
  row.setTask(graph_->task(id.task).name.c_str());
  row.setIndex(id.index);
  row.setLabel(graph_->instance(id).label.c_str());
  if (!spec) {
    row.setState(TaskState::ERRORED);
    row.setReason(spec.error().text().c_str());
    row.setFinishedAt(nanoseconds(now()));
    count(TaskState::ERRORED, 1);
    const auto reader = row.asReader();
    add_event(&reader);
    auto then = graph_->ended(id, TaskState::ERRORED, {}, spec.error().text());
    const auto append = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(effects.start, then.start);
    append(effects.settled, then.settled);
    append(effects.cancel, then.cancel);
    effects.ended = then.ended;
    return;
  }
  row.setState(TaskState::QUEUED);
  count(TaskState::QUEUED, 1);
  forgotten_.erase(graph_->name_of(id));
  send(ref<schemas::Task>(key() + "/" + graph_->name_of(id)).begin(*std::move(spec)));
}

void run_actor::settle(const settled_instance& one) {
  auto row = instances_.edit(row_of(one.id));
  row.setName(graph_->name_of(one.id).c_str());
  row.setTask(graph_->task(one.id.task).name.c_str());
  row.setIndex(one.id.index);
  row.setLabel(graph_->instance(one.id).label.c_str());
  row.setState(one.state);
  row.setReason(one.reason.c_str());
  row.setFinishedAt(nanoseconds(now()));
  count(one.state, 1);
  const auto reader = row.asReader();
  add_event(&reader);
}

result<schemas::task_interface::begin_params> run_actor::spec_of(instance_id id) const {
  auto environment = graph_->environment(id);
  if (!environment) {
    return std::move(environment).error();
  }
  auto argv = graph_->arguments(id);
  if (!argv) {
    return std::move(argv).error();
  }
  const auto& definition = graph_->definition();
  const auto& task = graph_->task(id.task);
  const auto name = graph_->name_of(id);
  for (const auto& [variable, text] : base_environment) {
    environment->emplace(variable, text);
  }
  (*environment)["MILLRACE_PROJECT"] = text_of(state().getProject());
  (*environment)["MILLRACE_PIPELINE"] = definition.name;
  (*environment)["MILLRACE_RUN"] = key();
  (*environment)["MILLRACE_TASK"] = task.name;
  (*environment)["MILLRACE_INDEX"] = std::to_string(id.index);

  schemas::task_interface::begin_params params;
  auto spec = params.build().initSpec();
  spec.setRun(key().c_str());
  spec.setTask(task.name.c_str());
  spec.setIndex(id.index);
  spec.setName(name.c_str());
  spec.setEpoch(state().getEpoch());
  spec.setLabel(graph_->instance(id).label.c_str());
  auto words = spec.initArgv(static_cast<unsigned>(argv->size()));
  for (unsigned at = 0; at < argv->size(); ++at) {
    words.set(at, (*argv)[at].c_str());
  }
  auto variables = spec.initEnvironment(static_cast<unsigned>(environment->size()));
  unsigned at = 0;
  for (const auto& [variable, text] : *environment) {
    variables[at].setName(variable.c_str());
    variables[at++].setValue(text.c_str());
  }
  const auto shared = definition.workspace == workspace_mode::run;
  spec.setWorkspace((shared ? key() : key() + "/" + name).c_str());
  spec.setTimeoutNs(task.timeout.value_or(runtime::duration{}).count());
  constexpr runtime::duration grace_default = std::chrono::seconds{10};
  spec.setGraceNs(
      task.grace_period.value_or(definition.grace_period.value_or(grace_default)).count());
  spec.setDetach(task.detach);
  spec.setMaxAttempts(task.retry.max_attempts);
  spec.setDelayNs(task.retry.delay.count());
  spec.setBackoff(task.retry.backoff);
  spec.setMaxDelayNs(task.retry.max_delay.count());
  spec.setJitter(task.retry.jitter);
  spec.setGiveUpWhenLost(task.retry.on_lost == lost_attempt::give_up);
  spec.setPriority(task.priority);
  spec.setPool(std::string{default_pool}.c_str());
  auto outputs = spec.initOutputs(static_cast<unsigned>(task.outputs.size()));
  for (unsigned output = 0; output < outputs.size(); ++output) {
    outputs.set(output, task.outputs[output].name.c_str());
  }
  return params;
}

// --- events --------------------------------------------------------------------------------------

async<> run_actor::task_changed(task_changed_params params) {
  const auto news = params.status();
  const auto at = graph_ ? graph_->find(text_of(news.getTask())) : std::nullopt;
  if (!at || params.epoch() != state().getEpoch()) {
    co_return;
  }
  const instance_id id{*at, news.getIndex()};
  const auto row_key = row_of(id);
  const auto before = instances_.get(row_key);
  if (!before || is_terminal(before->getState())) {
    co_return;
  }
  const auto was = before->getState();
  const auto label = text_of(before->getLabel());
  auto row = instances_.edit(row_key);
  row.setState(news.getState());
  row.setAttempt(news.getAttempt());
  row.setExitCode(news.getExitCode());
  row.setSignal(news.getSignal());
  row.setReason(news.getReason());
  row.setStartedAt(news.getStartedAt());
  row.setFinishedAt(news.getFinishedAt());
  row.setOutputs(news.getOutputs());
  count(was, -1);
  count(news.getState(), 1);
  if (news.getState() != TaskState::QUEUED) {
    const auto reader = row.asReader();
    add_event(&reader);
  }
  if (is_terminal(news.getState())) {
    apply(graph_->ended(id, news.getState(), outputs_of(news), text_of(news.getReason())));
  } else {
    notify(events_signal);
  }
}

// A run that is ending already keeps its end and the first reason for it.
void run_actor::stop(RunState end, const std::string& reason, stop_reach reach) {
  auto root = edit();
  if (!root.getEnding()) {
    root.setEnding(true);
    root.setEndState(end);
    root.setReason(reason.c_str());
  }
  root.setForced(reach == stop_reach::everything);
  apply(graph_->stop(reason, reach));
}

void run_actor::finish() {
  if (over()) {
    return;
  }
  auto root = edit();
  root.setState(root.getEnding() ? root.getEndState() : graph_->outcome());
  if (root.getState() == RunState::FAILED) {
    root.setReason(graph_->failure_text().c_str());
  }
  root.setFinishedAt(nanoseconds(now()));
  cancel_reminder(timeout_reminder);
  add_event(nullptr);
  report();
  set_idle_timeout(ended_idle_timeout);
}

void run_actor::add_event(const schemas::TaskStatus::Reader* instance) {
  auto root = edit();
  const auto sequence = root.getEventCount() + 1;
  root.setEventCount(sequence);
  auto event = events_.edit(padded(sequence, event_digits));
  event.setSequence(sequence);
  event.setAt(nanoseconds(now()));
  event.setRunState(root.getState());
  if (instance != nullptr) {
    event.setName(instance->getName());
    event.setState(instance->getState());
    event.setAttempt(instance->getAttempt());
    event.setExitCode(instance->getExitCode());
    event.setLabel(instance->getLabel());
    event.setReason(instance->getReason());
  } else {
    event.setExitCode(-1);
    event.setReason(root.getReason());
  }
  if (sequence > run_events_max) {
    events_.erase(padded(sequence - run_events_max, event_digits));
  }
}

void run_actor::count(TaskState state, int by) {
  auto counts = edit().getTasks();
  const auto add = [by](std::uint32_t number) {
    return static_cast<std::uint32_t>(static_cast<std::int64_t>(number) + by);
  };
  switch (state) {
    case TaskState::WAITING:
      return;
    case TaskState::QUEUED:
      return counts.setQueued(add(counts.getQueued()));
    case TaskState::RUNNING:
      return counts.setRunning(add(counts.getRunning()));
    case TaskState::BACKING_OFF:
      return counts.setBackingOff(add(counts.getBackingOff()));
    case TaskState::SUCCEEDED:
      return counts.setSucceeded(add(counts.getSucceeded()));
    case TaskState::FAILED:
    case TaskState::ERRORED:
    case TaskState::TIMED_OUT:
    case TaskState::LOST:
      return counts.setFailed(add(counts.getFailed()));
    case TaskState::CANCELLED:
      return counts.setCancelled(add(counts.getCancelled()));
    case TaskState::SKIPPED:
      return counts.setSkipped(add(counts.getSkipped()));
    case TaskState::UPSTREAM_FAILED:
      return counts.setUpstreamFailed(add(counts.getUpstreamFailed()));
  }
}

void run_actor::count_waiting() {
  auto counts = edit().getTasks();
  const auto rows = static_cast<std::uint32_t>(instances_.size());
  const auto known = std::max(static_cast<std::uint32_t>(graph_->known_instances()), rows);
  counts.setTotal(known);
  counts.setWaiting(known - rows);
}

// --- what people ask and order -------------------------------------------------------------------

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
  co_return results;
}

// One that has no row yet waits.
void run_actor::tell_waiting(schemas::TaskStatus::Builder status, instance_id id) const {
  status.setName(graph_->name_of(id).c_str());
  status.setTask(graph_->task(id.task).name.c_str());
  status.setIndex(id.index);
  status.setLabel(graph_->instance(id).label.c_str());
  status.setState(TaskState::WAITING);
}

async<run_actor::tasks_results> run_actor::tasks(tasks_params params) {
  if (auto known = check_known(); !known) {
    co_return std::move(known).error();
  }
  if (!graph_) {
    co_return no_graph();
  }
  const auto after = params.after();
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
  for (; at && page.size() < limit; at = graph_->next_instance(at)) {
    page.push_back(*at);
  }
  tasks_results results;
  auto list = results.build().initTasks(static_cast<unsigned>(page.size()));
  for (unsigned index = 0; index < page.size(); ++index) {
    if (const auto row = instances_.get(row_of(page[index]))) {
      list.setWithCaveats(index, *row);
    } else {
      tell_waiting(list[index], page[index]);
    }
  }
  results.build().setNext(at ? graph_->name_of(page.back()).c_str() : "");
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
    results.build().setTask(row->reader());
  } else {
    tell_waiting(results.build().initTask(), *id);
  }
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
      padded(params.after() + 1, event_digits));
  events_results results;
  auto list = results.build().initEvents(static_cast<unsigned>(page.size()));
  for (unsigned at = 0; at < page.size(); ++at) {
    list.setWithCaveats(at, page[at]);
  }
  const auto last = page.empty() ? params.after() : page.back().getSequence();
  results.build().setEnded(over() && last >= state().getEventCount());
  co_return results;
}

async<> run_actor::cancel(cancel_params params) {
  if (auto known = check_known(); !known) {
    co_await runtime::fail(std::move(known).error());
  }
  if (over()) {
    co_await runtime::fail(
        errc::failed_precondition,
        "the run has already ended: " + std::string{to_string(state().getState())});
  }
  if (!state().getEnding() || (params.force() && !state().getForced())) {
    const auto reason = params.reason().empty() ? std::string{"cancelled on request"}
                                                : std::string{params.reason()};
    stop(RunState::CANCELLED, reason,
         params.force() ? stop_reach::everything : stop_reach::ordinary);
  }
}

async<run_actor::retry_results> run_actor::retry() {
  if (auto known = check_known(); !known) {
    co_return std::move(known).error();
  }
  if (!over() || state().getState() == RunState::SUCCEEDED) {
    co_return error{errc::failed_precondition,
                    over() ? "the run has succeeded: there is nothing to retry"
                           : "the run has not ended yet; cancel it first"};
  }
  if (!graph_) {
    co_return no_graph();
  }
  set_idle_timeout(std::nullopt);
  const auto ended_before = state().getFinishedAt();
  auto root = edit();
  root.setEpoch(root.getEpoch() + 1);
  root.setState(RunState::RUNNING);
  root.setEnding(false);
  root.setForced(false);
  root.setReason("");
  root.setFinishedAt(0);
  std::vector<instance_id> forgotten;
  std::vector<std::string> rows;
  // Names first: forgetting changes how a task that was settled as a whole is called.
  instances_.for_each([&](std::string_view row, schemas::TaskStatus::Reader status) {
    if (status.getState() != TaskState::SUCCEEDED ||
        graph_->fans_out(*graph_->find(text_of(status.getTask())))) {
      rows.emplace_back(row);
    }
    return true;
  });
  auto effects = graph_->retry(forgotten);
  std::sort(forgotten.begin(), forgotten.end());
  std::uint32_t again = 0;
  for (const auto& row : rows) {
    const auto status = *instances_.get(row);
    const auto at = graph_->find(text_of(status.getTask()));
    const instance_id id{*at, status.getIndex()};
    if (std::binary_search(forgotten.begin(), forgotten.end(), id)) {
      count(status.getState(), -1);
      if (status.getAttempt() > 0) {
        forgotten_.edit(text_of(status.getName())).setName(status.getName());
      }
      instances_.erase(row);
      ++again;
    }
  }
  limit_time(now());
  report(ended_before);
  add_event(nullptr);
  apply(std::move(effects));
  co_return retry_results{again};
}

// --- removal -------------------------------------------------------------------------------------

async<> run_actor::remove() {
  if (auto known = check_known(); !known) {
    co_await runtime::fail(std::move(known).error());
  }
  if (!over()) {
    co_await runtime::fail(errc::failed_precondition, "the run has not ended yet; cancel it first");
  }
  begin_removal();
}

async<> run_actor::expire() {
  if (check_known() && over()) {
    begin_removal();
  }
  return {};
}

void run_actor::begin_removal() {
  edit().setRemoving(true);
  graph_.reset();
  send(ref<schemas::Pool>(std::string{default_pool}).remove_run(key()));
  send(ref<schemas::Pipeline>(text_of(state().getProject()) + "/" + text_of(state().getPipeline()))
           .run_removed(key(), state().getFinishedAt()));
  remove_some();
}

async<> run_actor::remove_more() {
  if (state().getRemoving()) {
    remove_some();
  }
  return {};
}

void run_actor::remove_some() {
  std::size_t told = 0;
  const auto forget = [&](const std::string& task) {
    send(ref<schemas::Task>(key() + "/" + task).forget());
    return ++told < removed_at_once;
  };
  std::vector<std::string> rows;
  forgotten_.for_each([&](std::string_view task, schemas::ForgottenTask::Reader) {
    rows.emplace_back(task);
    return forget(rows.back());
  });
  for (const auto& task : rows) {
    forgotten_.erase(task);
  }
  rows.clear();
  instances_.for_each([&](std::string_view row, schemas::TaskStatus::Reader status) {
    rows.emplace_back(row);
    return (status.getAttempt() == 0 || forget(text_of(status.getName()))) &&
           rows.size() < removed_at_once;
  });
  for (const auto& row : rows) {
    instances_.erase(row);
  }
  if (!instances_.empty() || !forgotten_.empty()) {
    send(ref<schemas::Run>(key()).remove_more());
    return;
  }
  erase_state();
}

}  // namespace millrace::actors
