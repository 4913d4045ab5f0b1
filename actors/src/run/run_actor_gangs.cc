// SPDX-License-Identifier: MIT
// Tasks with ranks: what a run keeps of them, and how they begin again.
#include <algorithm>

#include "millrace/actors/duration_text.h"
#include "pipeline/names.h"
#include "run/run_actor.h"

namespace millrace::actors {

using schemas::TaskState;

// Before the graph begins.
void run_actor::restore_gangs(run_graph& graph) const {
  gangs_.for_each([&graph](std::string_view task, schemas::RunGang::Reader row) {
    if (const auto at = graph.find(task); at && graph.task(*at).ranks > 0) {
      gang_row known{row.getRound(), row.getFailures(), {}};
      if (row.getFailed() > 0) {
        known.failed = row.getFailed() - 1;
      }
      graph.restore_gang(*at, known);
    }
    return true;
  });
}

// One whose time has come while the run was paused has no reminder any more.
void run_actor::rearm_gangs() {
  std::vector<std::pair<std::string, std::int64_t>> waiting;
  gangs_.for_each([&](std::string_view task, schemas::RunGang::Reader row) {
    if (const auto at = graph_->find(task); at && graph_->is_backing_off(*at)) {
      waiting.emplace_back(std::string{gang_reminder}.append(task), row.getBeginsAt());
    }
    return true;
  });
  for (const auto& [reminder, at] : waiting) {
    set_reminder(reminder, runtime::wall_time{runtime::duration{at}});
  }
}

void run_actor::store_gang(std::uint32_t task) {
  const auto& now = graph_->gang(task);
  auto row = gangs_.edit(graph_->task(task).name);
  row.setRound(now.round);
  row.setFailures(now.failures);
  row.setFailed(now.failed ? *now.failed + 1 : 0);
  row.setBeginsAt(0);
}

// Nothing is left of how its ranks have ended, but their attempts.
void run_actor::begins_again(const gang_again& one) {
  const auto& task = graph_->task(one.task);
  const auto at_once = one.delay == runtime::duration{};
  const auto shown = std::max<runtime::duration>(one.delay, std::chrono::milliseconds{1});
  const auto reason =
      one.reason + "; all begin again" + (at_once ? "" : " in " + format_duration(shown));
  for (std::uint32_t rank = 0; rank < task.ranks; ++rank) {
    auto row = begin_row({one.task, rank});
    count(row.getState(), -1);
    row.setState(TaskState::BACKING_OFF);
    row.setReason(reason.c_str());
    row.setExitCode(-1);
    row.setSignal(0);
    row.setStartedAt(0);
    row.setFinishedAt(0);
    row.initOutputs(0);
    row.initArtifacts(0);
    count(TaskState::BACKING_OFF, 1);
  }
  store_gang(one.task);
  add_run_event(task.name + ": " + reason);
  if (!at_once) {
    const auto begins_at = now() + one.delay;
    gangs_.edit(task.name).setBeginsAt(nanoseconds(begins_at));
    set_reminder(std::string{gang_reminder} + task.name, begins_at);
  }
}

void run_actor::round_is_due(std::string_view task) {
  if (const auto at = graph_ && !over() ? graph_->find(task) : std::nullopt) {
    apply(graph_->begin_round(*at));
  }
}

}  // namespace millrace::actors
