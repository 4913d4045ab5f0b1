// SPDX-License-Identifier: MIT
// Gangs: tasks whose instances start together, and begin again together.
#include <algorithm>

#include "definition/exit_codes.h"
#include "run/run_graph.h"

namespace millrace::actors {

namespace {

// The part of a delay that chance takes away: the same for one round however often it is asked.
double fraction_of(const std::string& run, const std::string& task, std::uint32_t round) {
  runtime::rng random{std::hash<std::string>{}(run + "/" + task + "#" + std::to_string(round))};
  return random.fraction();
}

}  // namespace

std::string run_graph::rank_text(instance_id failed, std::string_view why) const {
  const auto state = nodes_[failed.task].slots[failed.index].state;
  return "rank " + std::to_string(failed.index) + " of the gang " +
         (state == task_state::FAILED      ? "has failed"
          : state == task_state::TIMED_OUT ? "has timed out"
          : state == task_state::LOST      ? "was lost"
                                           : "could not run") +
         (why.empty() ? "" : ": " + std::string{why});
}

task_state run_graph::counted_as(instance_id id, task_state state) const {
  const auto is_lost = state == task_state::LOST && is_gang(id.task) && withdrawn(id.task) &&
                       definition_.tasks[id.task].retry.on_lost == lost_attempt::start_again;
  return is_lost ? task_state::CANCELLED : state;
}

bool run_graph::is_backing_off(std::uint32_t at) const {
  const auto& node = nodes_[at];
  return is_gang(at) && node.now == phase::open &&
         node.slots.front().state == task_state::BACKING_OFF;
}

void run_graph::reset_ranks(std::uint32_t at, task_state state) {
  auto& node = nodes_[at];
  for (auto& each : node.slots) {
    each = {};
    each.state = state;
  }
  node.ended = 0;
  node.failed = 0;
  node.failed_fast = false;
  node.next = 0;
  node.reasons.clear();
}

// Whether a gang whose ranks have all ended begins again. Where one of them was lost, that may be
// why others have failed before anybody knew.
bool run_graph::begin_again(std::uint32_t at, run_effects& effects) {
  auto& node = nodes_[at];
  if (!is_gang(at) || node.now != phase::open || node.ended < node.slots.size() ||
      node.failed == 0 || withdrawn(at)) {
    return false;
  }
  const auto& task = definition_.tasks[at];
  const auto is_lost = [](const slot& one) { return one.state == task_state::LOST; };
  const auto lost = std::find_if(node.slots.begin(), node.slots.end(), is_lost);
  const auto failed = std::find_if(node.slots.begin(), node.slots.end(),
                                   [](const slot& one) { return is_failure(one.state); });
  const auto first = node.gang.failed.value_or(failed - node.slots.begin());
  const auto& worst = node.slots[first];
  if (worst.state == task_state::ERRORED && worst.tried == attempted::never) {
    return false;  // what its definition says has no value, and will have none
  }
  runtime::duration delay{};
  auto reason = node.gang_failure.empty() ? rank_text({at, first}, {}) : node.gang_failure;
  if (lost != node.slots.end()) {
    if (task.retry.on_lost == lost_attempt::give_up) {
      return false;
    }
    if (!is_lost(worst)) {
      reason = rank_text({at, static_cast<std::uint32_t>(lost - node.slots.begin())}, {});
    }
  } else {
    const auto next = next_delay(task.retry, node.gang.failures + 1,
                                 fraction_of(run_id_, task.name, node.gang.round));
    const auto is_judged = worst.state == task_state::FAILED && worst.exit_code > 0 &&
                           !is_success(worst.exit_code, task.success_exit_codes);
    if (!next || (is_judged && !may_retry(task.retry, worst.exit_code))) {
      return false;
    }
    ++node.gang.failures;
    delay = *next;
  }
  ++node.gang.round;
  node.gang.failed.reset();
  node.gang_failure.clear();
  reset_ranks(at, delay > runtime::duration{} ? task_state::BACKING_OFF : task_state::WAITING);
  effects.again.push_back({at, delay, std::move(reason)});
  return true;
}

run_effects run_graph::begin_round(std::uint32_t at) {
  run_effects effects;
  if (is_backing_off(at)) {
    reset_ranks(at, task_state::WAITING);
    if (!nodes_[at].startable) {
      may_start(at);
    }
    drain(effects);
  }
  return effects;
}

}  // namespace millrace::actors
