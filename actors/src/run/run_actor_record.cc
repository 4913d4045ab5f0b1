// SPDX-License-Identifier: MIT
// What a run keeps of its course: events, and how many instances are in which state.
#include <algorithm>

#include "pipeline/names.h"
#include "run/run_actor.h"

namespace millrace::actors {

using schemas::TaskState;

namespace {
constexpr unsigned event_digits = 12;

// In milliseconds: most short runs take less than a second.
std::string seconds_text(std::int64_t nanoseconds) {
  const auto milliseconds =
      static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 0)) / 1'000'000;
  return std::to_string(milliseconds / 1'000) + "." + padded(milliseconds % 1'000, 3);
}
}  // namespace

std::string run_actor::event_row(std::uint64_t sequence) {
  return padded(sequence, event_digits);
}

void run_actor::add_event(const schemas::TaskStatus::Reader* instance) {
  auto root = edit();
  const auto sequence = root.getEventCount() + 1;
  root.setEventCount(sequence);
  auto event = events_.edit(event_row(sequence));
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
    events_.erase(event_row(sequence - run_events_max));
  }
}

// Of something that has happened to the run as a whole and is not its end.
void run_actor::add_run_event(std::string_view reason) {
  add_event(nullptr);
  events_.edit(event_row(state().getEventCount())).setReason(std::string{reason}.c_str());
}

// What an operator would date, which a check that has gone well is not. A reason is a person's
// text: a line of its own it does not get.
void run_actor::log_end() const {
  const auto root = state();
  if (!log_ || (root.getCheck() && root.getState() == schemas::RunState::SUCCEEDED)) {
    return;
  }
  auto text = "run ended run=" + key() + " pipeline=" + text_of(root.getProject()) + "/" +
              text_of(root.getPipeline()) + " state=" + std::string{to_string(root.getState())} +
              " tasks=" + std::to_string(root.getTasks().getTotal()) +
              " failed=" + std::to_string(root.getTasks().getFailed()) +
              " seconds=" + seconds_text(root.getFinishedAt() - root.getCreatedAt());
  if (root.getReason().size() > 0) {
    auto reason = text_of(root.getReason());
    std::replace_if(
        reason.begin(), reason.end(),
        [](char each) { return static_cast<unsigned char>(each) < 0x20; }, ' ');
    text += " reason=\"" + reason + "\"";
  }
  log_(text);
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

void run_actor::count_cached(const schemas::TaskStatus::Reader& row, int by) {
  if (row.getCachedFrom().size() > 0) {
    auto counts = edit().getTasks();
    counts.setCached(static_cast<std::uint32_t>(std::int64_t{counts.getCached()} + by));
  }
}

void run_actor::count_waiting() {
  auto counts = edit().getTasks();
  const auto rows = static_cast<std::uint32_t>(instances_.size());
  const auto known = std::max(static_cast<std::uint32_t>(graph_->known_instances()), rows);
  counts.setTotal(known);
  counts.setWaiting(known - rows);
}

}  // namespace millrace::actors
