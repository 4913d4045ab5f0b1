// SPDX-License-Identifier: MIT
// What people order of a run: its end, another try, its removal.
#include <algorithm>

#include "millrace/schedule.capnp.actor.h"
#include "pipeline/names.h"
#include "run/run_actor.h"

namespace millrace::actors {

using runtime::async;
using runtime::errc;
using runtime::error;
using runtime::ref;
using runtime::result;
using schemas::RunState;
using schemas::TaskState;

namespace {
// Tasks that one step of a removal tells: bounds its commit.
constexpr std::size_t removed_at_once = 1'000;
// Names of what a retry starts again that are told.
constexpr std::size_t retry_names_max = 1'000;
}  // namespace

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

async<> run_actor::withdraw(withdraw_params params) {
  if (!pinned_.contains(pinned_row)) {
    co_await runtime::fail(errc::unavailable, "the run has not begun yet");
  }
  if (!over() && (!state().getEnding() || (params.force() && !state().getForced()))) {
    stop(RunState::CANCELLED, std::string{params.reason()},
         params.force() ? stop_reach::everything : stop_reach::ordinary);
  }
}

// --- waiting -------------------------------------------------------------------------------------

// Why nothing of it starts, for a person; empty: nothing keeps it from that.
std::string run_actor::waits_for() const {
  if (state().getQueued().size() > 0) {
    return text_of(state().getQueued());
  }
  if (!state().getPaused()) {
    return {};
  }
  const auto by = text_of(state().getPausedBy());
  return by.empty() ? "paused" : "paused by " + by;
}

// What waits for a slot waits on, too.
void run_actor::hold_in_pool(bool holds) {
  if (state().getHeldInPool() != holds) {
    edit().setHeldInPool(holds);
    send(ref<schemas::Pool>(std::string{pool_key}).pause_run(key(), holds));
  }
}

async<> run_actor::pause(pause_params params) {
  if (auto known = check_known(); !known) {
    co_await runtime::fail(std::move(known).error());
  }
  if (over() || state().getEnding()) {
    const auto why = over() ? "has already ended: " + std::string{to_string(state().getState())}
                            : "is being ended: " + text_of(state().getReason());
    co_await runtime::fail(errc::failed_precondition, "the run " + why);
  }
  if (!state().getPaused()) {
    edit().setPaused(true);
    hold_in_pool(true);
    edit().setPausedBy(std::string{params.by()}.c_str());
    graph_->pause();
    add_run_event(waits_for());
    notify(events_signal);
  }
}

async<> run_actor::resume() {
  if (auto known = check_known(); !known) {
    co_await runtime::fail(std::move(known).error());
  }
  if (state().getPaused()) {
    edit().setPaused(false);
    hold_in_pool(false);
    add_run_event("resumed");
    go_on_unless_waiting();
  }
}

async<> run_actor::proceed() {
  if (graph_ && !over() && state().getQueued().size() > 0) {
    edit().setQueued("");
    limit_time(now());
    add_run_event("its turn has come");
    go_on_unless_waiting();
  }
  return {};
}

void run_actor::go_on_unless_waiting() {
  if (waits_for().empty()) {
    apply(graph_->resume());
    go_on_if_idle();
  } else {
    notify(events_signal);
  }
}

// --- another try ---------------------------------------------------------------------------------

result<void> run_actor::may_start_again(const std::string& from, bool changes) const {
  if (auto known = check_known(); !known) {
    return known;
  }
  if (state().getCheck()) {
    return error{errc::failed_precondition,
                 "the run is a check of a watch; `millrace schedule trigger " +
                     text_of(state().getPipeline()) + " " + text_of(state().getWatch()) +
                     "` makes another one"};
  }
  if (!over() || (state().getState() == RunState::SUCCEEDED && from.empty() && !changes)) {
    return error{
        errc::failed_precondition,
        over() ? "the run has succeeded: there is nothing to retry; name the task to start from"
               : "the run has not ended yet; cancel it first"};
  }
  if (state().getNeverBegan()) {
    return error{
        errc::failed_precondition,
        "the run was ended while it waited for its turn, and has nothing to repeat; `rerun` "
        "starts a new one, which takes its turn"};
  }
  return {};
}

result<run_actor::retry_from_results> run_actor::start_again(const std::string& from, bool is_dry,
                                                             other_version* with) {
  if (auto may = may_start_again(from, with != nullptr); !may) {
    return std::move(may).error();
  }
  if (!graph_ && with == nullptr) {
    return no_graph();
  }
  auto tried = with != nullptr ? with->graph : *graph_;
  std::vector<std::uint32_t> wanted;
  if (!from.empty()) {
    const auto at = tried.find(from);
    if (!at) {
      return error{
          errc::not_found,
          "the run has no task '" + from + "'" +
              (from.ends_with(']') ? "; name the task: all of a fan-out starts again" : "")};
    }
    if (!tried.is_selected(*at)) {
      return error{errc::failed_precondition, "the run was not asked for the task '" + from +
                                                  "'; `millrace submit " +
                                                  text_of(state().getPipeline()) + " --only " +
                                                  from + "` starts a run that does"};
    }
    wanted.push_back(*at);
  }
  const auto had = state().getFilesLost() ? run_graph::files::lost : run_graph::files::kept;
  std::vector<instance_id> forgotten;
  auto effects = tried.retry(forgotten, had, wanted);
  std::sort(forgotten.begin(), forgotten.end());
  retry_from_results again;
  auto told = again.build();
  told.setTasks(static_cast<std::uint32_t>(forgotten.size()));
  auto names = told.initNames(static_cast<unsigned>(std::min(forgotten.size(), retry_names_max)));
  for (unsigned at = 0; at < names.size(); ++at) {
    names.set(at, tried.name_of(forgotten[at]).c_str());
  }
  if (is_dry) {
    return again;
  }
  if (with != nullptr) {
    take_over(*with);
    std::erase_if(with->settled, [&forgotten](const auto& each) {
      return std::binary_search(forgotten.begin(), forgotten.end(), each.id);
    });
    effects.settled.insert(effects.settled.begin(), with->settled.begin(), with->settled.end());
  }
  graph_ = std::move(tried);
  set_idle_timeout(std::nullopt);
  const auto ended_before = state().getFinishedAt();
  auto root = edit();
  root.setEpoch(root.getEpoch() + 1);
  root.setState(RunState::RUNNING);
  root.setEnding(false);
  root.setForced(false);
  root.setReason("");
  root.setFinishedAt(0);
  root.setRetriedAt(nanoseconds(now()));
  root.setFilesLost(false);
  root.initOutputs(0);
  forget_rows(std::move(forgotten));
  limit_time(now());
  report(ended_before);
  if (with != nullptr) {
    add_run_event("goes on with version " + std::to_string(with->number));
  } else {
    add_event(nullptr);
  }
  apply(std::move(effects));
  return again;
}

async<run_actor::retry_results> run_actor::retry() {
  const auto again = start_again({}, false);
  if (!again) {
    co_return again.error();
  }
  co_return retry_results{again->tasks()};
}

async<run_actor::retry_from_results> run_actor::retry_from(retry_from_params params) {
  co_return start_again(std::string{params.from()}, params.dry_run());
}

// An instance that has not been started any more.
void run_actor::forget_row(const std::string& row) {
  const auto status = *instances_.get(row);
  count(status.getState(), -1);
  count_cached(status, -1);
  cancel_reminder(std::string{step_reminder} + text_of(status.getName()));
  const auto ended = status.getState();
  if (ended == TaskState::SUCCEEDED || ended == TaskState::FAILED) {
    callbacks_.erase(text_of(status.getName()));  // it was by that word; else it still counts
  }
  if (status.getAttempt() > 0) {
    forgotten_.edit(text_of(status.getName())).setName(status.getName());
  }
  instances_.erase(row);
}

// Erases the rows of these instances. Answers the names of those that had succeeded.
std::vector<std::string> run_actor::forget_rows(std::vector<instance_id> forgotten) {
  std::vector<std::string> rows;
  std::vector<std::string> succeeded;
  std::sort(forgotten.begin(), forgotten.end());
  if (!forgotten.empty()) {
    instances_.for_each([&](std::string_view row, schemas::TaskStatus::Reader status) {
      const instance_id id{*graph_->find(text_of(status.getTask())), status.getIndex()};
      if (std::binary_search(forgotten.begin(), forgotten.end(), id)) {
        rows.emplace_back(row);
      }
      return true;
    });
  }
  for (const auto id : forgotten) {
    if (id.index == 0 && graph_->task(id.task).ranks > 0) {
      store_gang(id.task);
    }
  }
  for (const auto& row : rows) {
    if (const auto status = *instances_.get(row); status.getState() == TaskState::SUCCEEDED) {
      succeeded.push_back(text_of(status.getName()));
    }
    forget_row(row);
  }
  return succeeded;
}

// --- a workspace that is lost --------------------------------------------------------------------

namespace {

std::string lost_text(std::string_view executor) {
  return "the workspace on '" + std::string{executor} + "' was lost with it";
}

}  // namespace

async<> run_actor::workspace_lost(workspace_lost_params params) {
  if (over() || !graph_) {
    if (pinned_.contains(pinned_row) && !state().getRemoving()) {
      edit().setFilesLost(true);
    }
    send(ref<schemas::Pool>(std::string{pool_key}).resume_run(key()));
    return {};
  }
  edit().setLostWith(std::string{params.executor()}.c_str());
  apply(graph_->hold(lost_text(params.executor())));
  go_on_if_idle();
  return {};
}

// Once nothing of it runs, what is unfinished begins anew with what it needs.
void run_actor::go_on_if_idle() {
  constexpr std::size_t named_max = 10;
  if (!graph_->held() || graph_->active() > 0 || over()) {
    return;
  }
  auto text = lost_text(text_of(state().getLostWith()));
  auto root = edit();
  root.setLostWith("");
  root.setEpoch(root.getEpoch() + 1);
  std::vector<instance_id> forgotten;
  auto effects = graph_->go_on_without_files(text + ", and it may not be repeated", forgotten);
  auto again = forget_rows(std::move(forgotten));
  for (const auto& each : effects.settled) {
    std::erase(again, graph_->name_of(each.id));  // it is lost instead
  }
  text += "; " + std::to_string(again.size()) + " finished task" + (again.size() == 1 ? "" : "s") +
          (again.size() == 1 ? " starts again" : " start again");
  for (std::size_t at = 0; at < std::min(again.size(), named_max); ++at) {
    text += (at == 0 ? ": " : ", ") + again[at];
  }
  text += again.size() > named_max ? ", ..." : "";
  add_run_event(text);
  send(ref<schemas::Pool>(std::string{pool_key}).resume_run(key()));
  apply(std::move(effects));
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
  send(ref<schemas::Pool>(std::string{pool_key}).remove_run(key()));
  send(ref<schemas::Pipeline>(text_of(state().getProject()) + "/" + text_of(state().getPipeline()))
           .run_removed(key(), state().getCheck() ? 0 : state().getFinishedAt()));
  if (state().getSchedule().size() > 0) {
    send(
        ref<schemas::Schedule>(text_of(state().getProject()) + "/" + text_of(state().getPipeline()))
            .run_removed(key(), text_of(state().getSchedule()), state().getScheduledAt()));
  }
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
