// SPDX-License-Identifier: MIT
// Needs of single instances: the one of the same index of another fan-out.
#include <algorithm>

#include "run/run_graph.h"

namespace millrace::actors {

bool run_graph::needs_element(std::uint32_t at, std::uint32_t need) const {
  const auto& needs = graph_.element_needs[at];
  return std::find(needs.begin(), needs.end(), need) != needs.end();
}

// Whether what is needed element by element has `count` of them; settles the task if not.
bool run_graph::has_as_many(std::uint32_t at, std::size_t count, run_effects& effects) {
  for (const auto need : graph_.element_needs[at]) {
    const auto there = nodes_[need].instances.size();
    if (there != count) {
      settle_whole(at, task_state::ERRORED,
                   "`" + definition_.tasks[need].name + "` has " + std::to_string(there) +
                       " instances and this task " + std::to_string(count) +
                       ": `instances: same` needs as many",
                   effects);
      return false;
    }
  }
  return true;
}

void run_graph::tell_opened(std::uint32_t at) {
  nodes_[at].opened = true;
  for (const auto dependent : graph_.dependents[at]) {
    if (needs_element(dependent, at) && --nodes_[dependent].needs_left == 0 &&
        nodes_[dependent].now == phase::waiting && is_selected(dependent)) {
      ready_.push_back(dependent);
    }
  }
}

// Lets an instance start that has what it needs, and settles one that cannot have it any more. One
// whose need has failed within what that task allows is skipped.
void run_graph::judge_element(instance_id id, run_effects& effects) {
  auto& node = nodes_[id.task];
  auto& one = node.slots[id.index];
  if (one.state != task_state::WAITING || one.eligible) {
    return;
  }
  auto waits = false;
  std::optional<std::uint32_t> worst;  // of the needed tasks
  auto skips = true;
  for (const auto need : graph_.element_needs[id.task]) {
    const auto state = nodes_[need].slots[id.index].state;
    waits = waits || !is_terminal(state);
    if (!is_terminal(state) || state == task_state::SUCCEEDED) {
      continue;
    }
    const auto skip = state == task_state::SKIPPED || (is_failure(state) && within_allowance(need));
    if (!worst || (skips && !skip)) {
      worst = need;
    }
    skips = skips && skip;
  }
  if (worst) {
    const instance_id needed{*worst, id.index};
    settle(id, skips ? task_state::SKIPPED : task_state::UPSTREAM_FAILED,
           "needs " + name_of(needed) + ": " +
               std::string{to_string(nodes_[*worst].slots[id.index].state)},
           effects);
  } else if (!waits) {
    one.eligible = true;
    node.eligible.push_back(id.index);
    if (!node.startable) {
      may_start(id.task);
    }
  }
}

void run_graph::judge_after(instance_id ended, run_effects& effects) {
  for (const auto dependent : graph_.dependents[ended.task]) {
    if (nodes_[dependent].now == phase::open && needs_element(dependent, ended.task) &&
        ended.index < nodes_[dependent].slots.size()) {
      judge_element({dependent, ended.index}, effects);
      finish_if_done(dependent);
    }
  }
}

// The next instance that may be started, if the bounds let it.
std::optional<std::uint32_t> run_graph::next_unstarted(std::uint32_t at) {
  auto& node = nodes_[at];
  const auto waits = [&node](std::uint32_t index) {
    return node.slots[index].state == task_state::WAITING;
  };
  if (!graph_.element_needs[at].empty()) {
    auto& next = node.next_eligible;
    while (next < node.eligible.size() && !waits(node.eligible[next])) {
      ++next;
    }
    return next < node.eligible.size() ? std::optional{node.eligible[next]} : std::nullopt;
  }
  while (node.next < node.slots.size() && !waits(node.next)) {
    ++node.next;
  }
  return node.next < node.slots.size() ? std::optional{node.next} : std::nullopt;
}

}  // namespace millrace::actors
