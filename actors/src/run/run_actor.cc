// SPDX-License-Identifier: MIT
#include "run/run_actor.h"

#include "definition/compiled.h"
#include "definition/exit_codes.h"
#include "millrace/actors/callback.h"
#include "millrace/actors/params.h"
#include "millrace/actors/selection.h"
#include "millrace/runtime/rfc3339.h"
#include "millrace/schedule.capnp.actor.h"
#include "pipeline/names.h"
#include "run/run_spans.h"
#include "run/task_spec.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::RunState;
using schemas::TaskState;

namespace {

// Of parameters and outputs, with the end of a run: they may start others, and are mostly short.
constexpr std::size_t told_bytes_max = std::size_t{32} << 10U;
// Whether its instances are task actors, and not the run's own.
bool has_task_actor(step_kind kind) {
  return kind == step_kind::command || kind == step_kind::actor;
}

attempted attempted_in(schemas::TaskStatus::Reader row) {
  return row.getStartedAt() != 0 ? attempted::yes
         : row.getAttempt() != 0 ? attempted::no
                                 : attempted::never;
}

output_list outputs_of(schemas::TaskStatus::Reader row) {
  output_list outputs;
  for (auto each : row.getOutputs()) {
    if (!each.hasKept() || each.getValue().size() > 0) {
      outputs.emplace_back(text_of(each.getName()), text_of(each.getValue()));
    }
  }
  return outputs;
}

kept_output_list large_of(schemas::TaskStatus::Reader row) {
  kept_output_list made;
  for (auto each : row.getOutputs()) {
    if (each.hasKept()) {
      const auto kept = each.getKept();
      made.push_back({text_of(each.getName()), text_of(kept.getDigest()), kept.getSize(),
                      text_of(kept.getExecutor())});
    }
  }
  return made;
}

artifact_list artifacts_of(schemas::TaskStatus::Reader row) {
  artifact_list made;
  made.reserve(row.getArtifacts().size());
  for (auto each : row.getArtifacts()) {
    made.push_back({text_of(each.getName()), text_of(each.getDigest()), each.getFiles(),
                    each.getBytes(), text_of(each.getExecutor())});
  }
  return made;
}

}  // namespace

// --- beginning and coming back -------------------------------------------------------------------

result<pipeline_definition> run_actor::definition_in(schemas::RunPinned::Reader pinned) {
  return pinned.hasCompiled() ? definition_of(pinned.getCompiled())
                              : from_json(text_of(pinned.getDefinition()));
}

result<run_graph> run_actor::graph_of_pinned(schemas::RunPinned::Reader pinned) const {
  auto read = definition_in(pinned);
  if (!read) {
    return std::move(read).error();
  }
  if (pinned.getPriority() >= 0) {
    read->priority = static_cast<std::uint32_t>(pinned.getPriority());
  }
  auto bound = bind_params_json(*read, text_of(pinned.getParams()));
  if (!bound) {
    return error{errc::invalid_argument,
                 "its parameters do not fit: " + bound.diagnostics.front().text};
  }
  std::vector<std::string> only;
  for (const auto each : pinned.getOnly()) {
    only.push_back(text_of(each));
  }
  auto selected = select_tasks(*read, only);
  if (!selected) {
    return std::move(selected).error();
  }
  run_graph graph{*std::move(read), std::move(bound), key()};
  graph.set_selection(*std::move(selected));
  const auto callback_key = pinned.getCallbackKey();
  graph.set_callback_key(
      {reinterpret_cast<const char*>(callback_key.begin()), callback_key.size()});
  if (const auto root = state(); root.getScheduledAt() != 0) {
    std::string time;
    runtime::append_rfc3339(time, root.getScheduledAt());
    graph.set_scheduled_at(std::move(time));
  }
  return graph;
}

// A newer program may refuse what an older one has stored. The run cannot go on, and says why.
void run_actor::fail_without_graph(const error& why) {
  auto root = edit();
  root.setState(RunState::FAILED);
  root.setReason(("the definition that the run was begun with cannot be used: " + why.text() +
                  "; apply it again and submit anew")
                     .c_str());
  root.setFinishedAt(nanoseconds(now()));
  root.setQueued("");
  root.setPaused(false);
  root.getTasks().setWaiting(0);  // they never will be more than have begun
  root.getTasks().setTotal(static_cast<std::uint32_t>(instances_.size()));
  hold_in_pool(false);
  cancel_reminder(timeout_reminder);
  add_event(nullptr);
  log_end();
  report();
  tell_span_of_end();
  notify(events_signal);
  set_idle_timeout(ended_idle_timeout);
}

error run_actor::no_graph() const {
  return {errc::failed_precondition, text_of(state().getReason())};
}

// What the rows say of the tasks, but for some.
void run_actor::restore(run_graph& graph, const std::set<std::string>& without) const {
  instances_.for_each([&](std::string_view row_key, schemas::TaskStatus::Reader row) {
    const auto task = text_of(row.getTask());
    const auto at = without.contains(task) ? std::nullopt : graph.find(task);
    if (at && graph.fans_out(*at) && !row_key.ends_with(']')) {
      graph.restore_whole(*at, row.getState(), text_of(row.getReason()));
    } else if (at) {
      graph.keep_artifacts({*at, row.getIndex()}, artifacts_of(row));
      graph.keep_large({*at, row.getIndex()}, large_of(row));
      graph.restore({*at, row.getIndex()}, row.getState(), outputs_of(row),
                    text_of(row.getReason()), shell_exit_code(row.getExitCode(), row.getSignal()),
                    attempted_in(row));
    }
    return true;
  });
  restore_gangs(graph);
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
  restore(*graph_, {});
  if (over() || state().getEnding()) {
    graph_->restore_stopping(
        text_of(state().getReason()),
        over() || state().getForced() ? stop_reach::everything : stop_reach::ordinary,
        over() ? state().getState() : state().getEndState());
  }
  if (state().getLostWith().size() > 0) {
    graph_->restore_held();
  }
  if (!waits_for().empty()) {
    graph_->pause();
  }
  if (!over() && !state().getEnding()) {
    hold_in_pool(state().getPaused());  // an older version may have changed that
  }
  auto effects = graph_->begin();
  if (!over()) {
    apply(std::move(effects));
    go_on_if_idle();
    rearm_gangs();
  }
}

async<> run_actor::begin(begin_params params) {
  const auto from = params.read();
  if (state().getRemoving()) {
    co_await runtime::fail(errc::unavailable, "the earlier run of this id is being removed");
  }
  if (pinned_.contains(pinned_row)) {
    // It is the other's of two pipelines that were given one id at the same time; or it was asked
    // for twice, and what was asked first came when all was over.
    if (state().getProject() != from.getProject() || state().getPipeline() != from.getPipeline() ||
        over()) {
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
  pinned.setSource(from.getSource());
  pinned.setPriority(from.getPriority());
  pinned.setOnly(from.getOnly());
  pinned.setNoCache(from.getNoCache());
  for (const auto task : from.getCompiled().getTasks()) {
    if (task.getStep().isCallback()) {
      const auto made = make_callback_key();
      pinned.setCallbackKey({reinterpret_cast<const kj::byte*>(made.data()), made.size()});
      break;
    }
  }
  if (from.hasTrace()) {
    pinned.setTrace(from.getTrace());
  } else {
    const auto own = trace_of_run(key());
    store_place({.trace = own, .is_sampled = samples(own)}, pinned.initTrace());
  }
  auto root = edit();
  root.setProject(from.getProject());
  root.setPipeline(from.getPipeline());
  root.setVersion(from.getVersion());
  root.setCreatedAt(from.getCreatedAt());
  root.setState(RunState::RUNNING);
  root.setSchedule(from.getSchedule());
  root.setScheduledAt(from.getScheduledAt());
  root.setBackfill(from.getBackfill());
  root.setQueued(from.getQueued());
  root.setRerunOf(from.getRerunOf());
  root.setParent(from.getParent());
  root.setParentTask(from.getParentTask());
  root.setDepth(from.getDepth());
  root.setTriggeredBy(from.getTriggeredBy());
  root.setWebhook(from.getWebhook());
  root.setWatch(from.getWatch());
  root.setCheck(from.getCheck());
  auto graph = graph_of_pinned(pinned.asReader());
  if (!graph) {
    fail_without_graph(graph.error());
    co_return;
  }
  graph_.emplace(*std::move(graph));
  if (from.getQueued().size() > 0) {
    graph_->pause();
    add_run_event(waits_for());
  } else {
    limit_time(runtime::wall_time{runtime::duration{from.getCreatedAt()}});
    add_event(nullptr);
  }
  apply(graph_->begin());
}

// --- its place in a trace ------------------------------------------------------------------------

runtime::trace_context run_actor::submitted_from() const {
  return place_of(pinned_.get(pinned_row)->getTrace());
}

std::int64_t run_actor::began_at() const {
  return state().getRetriedAt() != 0 ? state().getRetriedAt() : state().getCreatedAt();
}

void run_actor::tell_span_of_end() {
  if (const auto place = submitted_from(); place.is_sampled) {
    tell_span(span_of(ended_run{key(), state(), began_at()}, place));
  }
}

// --- what it tells of itself ---------------------------------------------------------------------

void run_actor::limit_time(runtime::wall_time start) {
  if (const auto limit = graph_->definition().timeout) {
    set_reminder(timeout_reminder, start + *limit);
  }
}

// Tells the pipeline's list of runs, and the schedule that started it. The end of a run of some
// tasks alone says nothing of the version that it ran, and names none.
void run_actor::report(std::int64_t ended_before) {
  const auto root = state();
  const auto pipeline = text_of(root.getProject()) + "/" + text_of(root.getPipeline());
  schemas::pipeline_interface::run_ended_params told;
  auto made = told.build();
  made.setRun(key().c_str());
  made.setState(root.getState());
  made.setFinishedAt(root.getFinishedAt());
  const auto judges = !over() || pinned_.get(pinned_row)->getOnly().size() == 0;
  made.setVersion(judges ? root.getVersion() : 0);
  made.setCreatedAt(root.getCreatedAt());
  made.setEndedBefore(ended_before);
  made.setDepth(root.getDepth());
  if (root.getCheck()) {
    made.setCheck(root.getWatch());
    made.setReason(root.getReason());
  }
  const auto params = pinned_.get(pinned_row)->getParams();
  if (params.size() + root.getOutputs().totalSize().wordCount * sizeof(capnp::word) <=
      told_bytes_max) {
    made.setParams(params);
    made.setOutputs(root.getOutputs());
  }
  send(ref<schemas::Pipeline>(pipeline).run_ended(std::move(told)));
  tell_parent();
  if (root.getSchedule().size() > 0) {
    send(ref<schemas::Schedule>(pipeline).run_told(key(), text_of(root.getSchedule()),
                                                   root.getScheduledAt(), root.getState(), "",
                                                   text_of(root.getBackfill())));
  }
}

async<> run_actor::on_reminder(std::string name) {
  if (name.starts_with(step_reminder)) {
    not_answered(name.substr(step_reminder.size()));
    child_timed_out(name.substr(step_reminder.size()));
  } else if (name.starts_with(gang_reminder)) {
    round_is_due(std::string_view{name}.substr(gang_reminder.size()));
  } else if (graph_ && !over() && !state().getEnding()) {
    if (const auto limit = graph_->definition().timeout) {  // not of a version before
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*limit).count();
      stop(RunState::TIMED_OUT, "the run's timeout of " + std::to_string(seconds) + " s passed",
           stop_reach::ordinary);
    }
  }
  return {};
}

// --- effects -------------------------------------------------------------------------------------

std::string run_actor::row_of(instance_id id) const {
  const auto whole = graph_->name_of(id) == graph_->task(id.task).name;
  return instance_row(graph_->task(id.task).name, id.index, !whole);
}

void run_actor::apply(run_effects effects) {
  std::vector<pool_entry> wishes;
  // Starting may fail (an expression without a value), which is an event of its own.
  for (;;) {
    for (const auto& each : effects.settled) {
      settle(each);
    }
    run_effects more;
    for (const auto& each : effects.cancel) {
      const auto reason = state().getEnding() ? text_of(state().getReason()) : each.reason;
      const auto name = graph_->name_of(each.id);
      const auto kind = step_of(graph_->task(each.id.task));
      if (has_task_actor(kind)) {
        send(ref<schemas::Task>(key() + "/" + name).cancel(reason));
      } else if (!waiting_at(name, kind)) {
        continue;
      } else if (kind == step_kind::child) {
        withdraw_child(each.id, reason);
      } else {
        end_here(each.id, TaskState::CANCELLED, reason, {}, more);
      }
    }
    for (const auto& each : effects.again) {
      begins_again(each);
    }
    for (const auto id : effects.start) {
      start(id, more, wishes);
    }
    const auto ended = effects.ended || more.ended;
    if (more.start.empty() && more.settled.empty() && more.cancel.empty() && more.again.empty()) {
      count_waiting();
      if (ended) {
        finish();
      }
      break;
    }
    effects = std::move(more);
    effects.ended = ended;
  }
  ask_pool(wishes);
  notify(events_signal);
}

// In the commit that begins the tasks, so that the pool stores their tickets while they store their
// first attempts. In one send, because those to one receiver go one after the other.
void run_actor::ask_pool(const std::vector<pool_entry>& wishes) {
  if (wishes.empty()) {
    return;
  }
  schemas::pool_interface::enqueue_all_params params;
  auto entries = params.build().initEntries(static_cast<unsigned>(wishes.size()));
  for (unsigned at = 0; at < wishes.size(); ++at) {
    entries.setWithCaveats(at, wishes[at].read());
  }
  send(ref<schemas::Pool>(std::string{pool_key}).enqueue_all(std::move(params)));
}

schemas::TaskStatus::Builder run_actor::begin_row(instance_id id) {
  auto row = instances_.edit(row_of(id));
  row.setName(graph_->name_of(id).c_str());
  row.setTask(graph_->task(id.task).name.c_str());
  row.setIndex(id.index);
  row.setLabel(graph_->instance(id).label.c_str());
  return row;
}

// An instance ends that no task actor has.
void run_actor::end_here(instance_id id, TaskState state, const std::string& reason,
                         const output_list& outputs, run_effects& effects) {
  auto row = begin_row(id);
  count(row.getState(), -1);
  row.setState(state);
  row.setReason(reason.c_str());
  row.setFinishedAt(nanoseconds(now()));
  auto written = row.initOutputs(static_cast<unsigned>(outputs.size()));
  for (unsigned at = 0; at < outputs.size(); ++at) {
    written[at].setName(outputs[at].first.c_str());
    written[at].setValue(outputs[at].second.c_str());
  }
  count(state, 1);
  const auto reader = row.asReader();
  add_event(&reader);
  if (!has_task_actor(step_of(graph_->task(id.task)))) {
    cancel_reminder(std::string{step_reminder} + graph_->name_of(id));
  }
  auto then = graph_->ended(id, state, outputs, reason, no_exit_code, attempted_in(row.asReader()));
  const auto append = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  append(effects.start, then.start);
  append(effects.settled, then.settled);
  append(effects.cancel, then.cancel);
  append(effects.again, then.again);
  effects.ended = effects.ended || then.ended;
}

void run_actor::start(instance_id id, run_effects& effects, std::vector<pool_entry>& wishes) {
  if (const auto kind = step_of(graph_->task(id.task)); !has_task_actor(kind)) {
    kind == step_kind::child ? start_child(id, effects) : ask(id, effects);
    return;
  }
  auto spec = task_spec_of(*graph_, id,
                           {key(), text_of(state().getProject()), state().getEpoch(),
                            text_of(pinned_.get(pinned_row)->getSource()),
                            !pinned_.get(pinned_row)->getNoCache() && state().getEpoch() == 0,
                            run_place(submitted_from(), key(), began_at())});
  if (!spec) {
    end_here(id, TaskState::ERRORED, spec.error().text(), {}, effects);
    return;
  }
  if (state().getEnding()) {
    hold_in_pool(false);  // it is a hook
  }
  auto row = begin_row(id);
  count(row.getState(), -1);  // of a gang that begins again
  row.setState(TaskState::QUEUED);
  row.setReason("");
  count(TaskState::QUEUED, 1);
  forgotten_.erase(graph_->name_of(id));
  const auto task = key() + "/" + graph_->name_of(id);
  const auto round = graph_->gang(id.task).round;
  if (round > 0 && id.index == 0) {
    store_gang(id.task);
  }
  // After a retry of the run the task alone knows the number of its next attempt.
  // One that may have a kept result asks for a slot itself, if it has none.
  if (!spec->read().getSpec().hasCall() && state().getEpoch() == 0 && round == 0 &&
      !looks_up(spec->read().getSpec())) {
    spec->build().setEnqueued(true);
    auto entry = wishes.emplace_back().build();
    entry.setTask(task.c_str());
    entry.setAttempt(1);
    entry.setPriority(spec->read().getSpec().getPriority());
    entry.setShared(graph_->definition().workspace == workspace_mode::run);
    entry.setWish(spec->read().getSpec().getWish());
  }
  send(ref<schemas::Task>(task).begin(*std::move(spec)));
}

void run_actor::settle(const settled_instance& one) {
  auto row = begin_row(one.id);
  count(row.getState(), -1);  // of a gang that was to begin again
  row.setState(one.state);
  row.setReason(one.reason.c_str());
  row.setFinishedAt(nanoseconds(now()));
  count(one.state, 1);
  const auto reader = row.asReader();
  add_event(&reader);
}

// --- events --------------------------------------------------------------------------------------

async<> run_actor::task_changed(task_changed_params params) {
  const auto news = params.status();
  const auto at = graph_ ? graph_->find(text_of(news.getTask())) : std::nullopt;
  if (!at || params.epoch() != state().getEpoch() || params.round() != graph_->gang(*at).round) {
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
  const auto state_now = graph_->counted_as(id, news.getState());
  auto row = instances_.edit(row_key);
  row.setState(state_now);
  row.setAttempt(news.getAttempt());
  row.setExitCode(news.getExitCode());
  row.setSignal(news.getSignal());
  row.setReason(news.getReason());
  row.setStartedAt(news.getStartedAt());
  row.setFinishedAt(news.getFinishedAt());
  row.setOutputs(news.getOutputs());
  row.setArtifacts(news.getArtifacts());
  row.setCachedFrom(news.getCachedFrom());
  count(was, -1);
  count(state_now, 1);
  count_cached(news, 1);
  if (state_now != TaskState::QUEUED) {
    const auto reader = row.asReader();
    add_event(&reader);
  }
  if (is_terminal(state_now)) {
    graph_->keep_artifacts(id, artifacts_of(news));
    graph_->keep_large(id, large_of(news));
    auto effects =
        graph_->ended(id, state_now, outputs_of(news), text_of(news.getReason()),
                      shell_exit_code(news.getExitCode(), news.getSignal()), attempted_in(news));
    for (const auto one : effects.unstarted) {
      forget_row(row_of(one));
    }
    if (graph_->task(*at).ranks > 0 && is_failure(state_now)) {
      store_gang(*at);
    }
    apply(std::move(effects));
    go_on_if_idle();
  } else {
    notify(events_signal);
  }
}

// A run that is ending already keeps its end and the first reason for it.
// One that has not begun has nothing to tidy up, and it is not its turn to do so.
void run_actor::stop(RunState end, const std::string& reason, stop_reach reach) {
  auto root = edit();
  if (root.getQueued().size() > 0) {
    reach = stop_reach::everything;
    root.setNeverBegan(true);
  }
  if (!root.getEnding()) {
    root.setEnding(true);
    root.setEndState(end);
    root.setReason(reason.c_str());
  }
  root.setForced(reach == stop_reach::everything);
  root.setQueued("");
  root.setPaused(false);  // what waits for a slot is cancelled before it could get one
  apply(graph_->stop(reason, reach, end));
}

// A run that cannot say what it promises has failed.
void run_actor::keep_outputs() {
  const auto made = graph_->outputs();
  auto root = edit();
  if (!made) {
    root.setState(RunState::FAILED);
    root.setReason(made.error().text().c_str());
    return;
  }
  auto outputs = root.initOutputs(static_cast<unsigned>(made->size()));
  for (unsigned at = 0; at < outputs.size(); ++at) {
    outputs[at].setName((*made)[at].first.c_str());
    outputs[at].setValue((*made)[at].second.c_str());
  }
}

void run_actor::finish() {
  if (over()) {
    return;
  }
  auto root = edit();
  root.setQueued("");
  root.setPaused(false);
  hold_in_pool(false);
  root.setState(graph_->outcome());
  if (!root.getEnding() && root.getState() == RunState::FAILED) {
    root.setReason(graph_->failure_text().c_str());
  } else if (const auto hook = graph_->hook_failure_text(); root.getEnding() && !hook.empty()) {
    root.setReason((text_of(root.getReason()) + "; " + hook).c_str());
  }
  if (root.getState() == RunState::SUCCEEDED) {
    keep_outputs();
  }
  root.setFinishedAt(nanoseconds(now()));
  if (root.getLostWith().size() > 0) {
    root.setFilesLost(true);
    root.setLostWith("");
    send(ref<schemas::Pool>(std::string{pool_key}).resume_run(key()));
  }
  cancel_reminder(timeout_reminder);
  add_event(nullptr);
  log_end();
  report();
  tell_span_of_end();
  set_idle_timeout(ended_idle_timeout);
}

}  // namespace millrace::actors
