// SPDX-License-Identifier: MIT
// Why a task is where it is, for a person.
#include <algorithm>

#include "definition/message_text.h"
#include "run/run_graph.h"

namespace millrace::actors {

namespace {

// The most needed tasks that a reason names, and the most of the reason of each.
constexpr std::size_t named_needs_max = 3;
constexpr std::size_t nested_reason_bytes_max = 120;

// How every reason begins that comes from needed tasks. Such a one is not told on: along a chain of
// tasks it would grow with each.
constexpr std::string_view needs_prefix = "needs ";

}  // namespace

void run_graph::note_reason(instance_id id, task_state state, std::string_view reason) {
  auto& node = nodes_[id.task];
  if (state == task_state::SUCCEEDED || node.reasons.contains(state)) {
    return;
  }
  auto text = fans_out(id.task) ? definition_.tasks[id.task].name + "[" + std::to_string(id.index) +
                                      "]" + (reason.empty() ? "" : " ")
                                : std::string{};
  node.reasons[state] = one_line(text + std::string{reason}, nested_reason_bytes_max);
}

// How a task ended: `a: failed, exit code 3`.
std::string run_graph::end_text(std::uint32_t at) const {
  const auto& node = nodes_[at];
  auto text = definition_.tasks[at].name + ": " + std::string{to_string(node.outcome)};
  const auto reason = node.reasons.find(node.outcome);
  if (node.outcome != task_state::SUCCEEDED && reason != node.reasons.end() &&
      !reason->second.empty() && !reason->second.starts_with(needs_prefix)) {
    text += ", " + one_line(reason->second, nested_reason_bytes_max);
  }
  return text;
}

// Why `run_on` does not let a task start: the needed tasks that keep it from it, failures first.
std::string run_graph::needs_text(std::uint32_t at) const {
  const auto rule = definition_.tasks[at].run_on;
  auto needs = graph_.needs[at];
  if (rule == trigger_rule::success) {
    std::erase_if(needs, [&](auto need) { return passes(need); });
  }
  std::stable_partition(needs.begin(), needs.end(),
                        [&](auto need) { return nodes_[need].outcome != task_state::SKIPPED; });
  std::string text{needs_prefix};
  for (std::size_t each = 0; each < std::min(needs.size(), named_needs_max); ++each) {
    text += (each == 0 ? "" : "; ") + end_text(needs[each]);
  }
  if (needs.size() > named_needs_max) {
    text += "; and " + std::to_string(needs.size() - named_needs_max) + " more";
  }
  if (needs.empty()) {
    text = "it needs no task that could fail";
  }
  return rule == trigger_rule::success
             ? text
             : text + " (`run_on` is `" + std::string{to_string(rule)} + "`)";
}

// Of the needs of a task that is not judged yet, or of an instance of one that is: the first by
// name, then how many more, since a list of tasks asks this for each.
std::vector<std::string> run_graph::awaited(instance_id id) const {
  std::vector<std::string> names;
  std::size_t more = 0;
  const auto is_element = nodes_[id.task].now == phase::open;
  for (const auto need : is_element ? graph_.element_needs[id.task] : graph_.needs[id.task]) {
    const auto& slots = nodes_[need].slots;
    if (is_element ? id.index >= slots.size() || is_terminal(slots[id.index].state)
                   : nodes_[need].now == phase::ended) {
      continue;
    }
    if (names.size() == named_needs_max) {
      ++more;
    } else {
      names.push_back(is_element ? name_of({need, id.index}) : definition_.tasks[need].name);
    }
  }
  if (more > 0) {
    names.push_back(std::to_string(more) + " more");
  }
  return names;
}

std::string run_graph::waiting_text(instance_id id) const {
  const auto& node = nodes_[id.task];
  if (held_) {
    return "waits until all that runs has ended, since the files of its run are lost";
  }
  if (node.now == phase::waiting && is_hook(id.task) && !owner_of(id.task)) {
    return "waits for the end of the run";
  }
  const auto names = awaited(id);
  std::string text;
  for (std::size_t each = 0; each < names.size(); ++each) {
    text += (each == 0 ? "waits for " : each == named_needs_max ? " and " : ", ") + names[each];
  }
  if (!names.empty() || node.now != phase::open) {
    return text;
  }
  const auto own = definition_.tasks[id.task].max_parallel;
  return own && node.active >= *own
             ? "as many of its instances go on as may (`max_parallel` is " + std::to_string(*own) +
                   ")"
             : "as many tasks of its run go on as may, " +
                   std::to_string(definition_.max_parallel.value_or(start_window));
}

std::string run_graph::fail_fast_text(instance_id failed, std::string_view why) const {
  const auto state = nodes_[failed.task].slots[failed.index].state;
  return name_of(failed) + ": " + std::string{to_string(state)} +
         (why.empty() ? "" : ", " + one_line(why, nested_reason_bytes_max)) + " (`fail_fast`)";
}

std::string run_graph::failed_text(std::uint32_t at) const {
  return (is_hook(at) ? "hook `" : "task `") + definition_.tasks[at].name + "` " +
         (nodes_[at].outcome == task_state::TIMED_OUT ? "timed out"
                                                      : std::string{to_string(nodes_[at].outcome)});
}

std::string run_graph::failure_text() const {
  const auto first =
      std::find_if(graph_.order.begin(), graph_.order.end(), [this](auto at) { return fails(at); });
  return first != graph_.order.end() ? failed_text(*first) : std::string{};
}

std::string run_graph::hook_failure_text() const {
  const auto first = std::find_if(graph_.order.begin(), graph_.order.end(),
                                  [this](auto at) { return is_hook(at) && fails(at); });
  return first != graph_.order.end() ? failed_text(*first) : std::string{};
}

std::string run_graph::outcome_text() const {
  return stopping_ ? stop_reason_ : failure_text();
}

std::vector<std::string> run_graph::failed_tasks() const {
  std::vector<std::string> names;
  for (const auto at : graph_.order) {
    if (fails(at)) {
      names.push_back(definition_.tasks[at].name);
    }
  }
  return names;
}

}  // namespace millrace::actors
