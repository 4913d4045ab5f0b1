// SPDX-License-Identifier: MIT
// What starts again: when a person says so, and when the files of the run are lost.
#include <algorithm>

#include "run/run_graph.h"

namespace millrace::actors {

// The tasks that one of `these` needs, if only by way of others.
std::vector<bool> run_graph::needed_by(const std::vector<bool>& these) const {
  std::vector<bool> needed(nodes_.size());
  for (auto at = graph_.order.rbegin(); at != graph_.order.rend(); ++at) {
    needed[*at] = std::any_of(
        graph_.dependents[*at].begin(), graph_.dependents[*at].end(),
        [&](auto one) { return !is_hook(one) && ((these[one] && !is_child(one)) || needed[one]); });
  }
  return needed;
}

bool run_graph::needs_any(std::uint32_t at, const std::vector<bool>& of) const {
  return std::any_of(graph_.needs[at].begin(), graph_.needs[at].end(),
                     [&](auto need) { return of[need]; });
}

// Forgets the instances of a task but for those that `keeps` wants, of those that have ended.
void run_graph::begin_anew(std::uint32_t at, const std::function<bool(task_state)>& keeps,
                           std::vector<instance_id>& forgotten) {
  auto& node = nodes_[at];
  unended_ += node.now == phase::ended ? 1 : 0;
  known_ -= known_of(node);
  std::map<std::uint32_t, slot> kept;
  for (std::uint32_t index = 0; index < node.slots.size(); ++index) {
    auto& one = node.slots[index];
    if (is_terminal(one.state) && keeps(one.state)) {
      kept[index] = std::move(one);
    } else if (one.state != task_state::WAITING || is_gang(at)) {  // a round may be about to begin
      forgotten.push_back({at, index});
    }
  }
  auto reasons = kept.empty() ? std::map<task_state, std::string>{} : std::move(node.reasons);
  const auto round = node.gang.round + (is_gang(at) ? 1 : 0);
  node = {};
  node.gang.round = round;
  node.restored = std::move(kept);
  node.reasons = std::move(reasons);
  known_ += known_of(node);
}

// Of every task that has not begun: how many of those it needs have not ended.
void run_graph::await_needs() {
  ready_.clear();
  ended_elements_.clear();
  for (const auto at : graph_.order) {
    auto& node = nodes_[at];
    if (node.now != phase::waiting) {
      continue;
    }
    node.needs_left = static_cast<std::uint32_t>(
        std::count_if(graph_.needs[at].begin(), graph_.needs[at].end(), [&](auto need) {
          return nodes_[need].now != phase::ended &&
                 !(needs_element(at, need) && nodes_[need].opened);
        }));
    if (node.needs_left == 0) {
      ready_.push_back(at);
    }
  }
}

run_effects run_graph::retry(std::vector<instance_id>& forgotten, files had,
                             const std::vector<std::uint32_t>& from) {
  run_effects effects;
  std::vector<bool> wholly(nodes_.size());
  std::vector<bool> again(nodes_.size());
  stopping_.reset();
  failure_.clear();
  held_ = false;
  for (const auto at : from) {
    wholly[at] = true;
  }
  for (const auto at : graph_.order) {
    wholly[at] = is_selected(at) && (wholly[at] || needs_any(at, again));
    again[at] = wholly[at] || (!passes(at) && nodes_[at].outcome != task_state::SKIPPED);
  }
  const auto needed =
      had == files::lost ? needed_by(again) : std::vector<bool>(nodes_.size(), false);
  for (const auto at : graph_.order) {
    const auto needs_again = needs_any(at, again);
    again[at] = again[at] ||
                (needed[at] && passes(at) && !is_child(at) && (!runs_nothing(at) || needs_again)) ||
                (is_hook(at) && needs_again);
  }
  for (const auto at : graph_.order) {
    const auto keep = fans_out(at) && !is_gang(at) && !nodes_[at].instances.empty() &&
                      !needed[at] && !wholly[at] && !needs_any(at, again);
    if (again[at]) {
      begin_anew(
          at, [keep](auto state) { return keep && state == task_state::SUCCEEDED; }, forgotten);
    }
  }
  await_needs();
  drain(effects);
  return effects;
}

run_effects run_graph::hold(std::string_view reason) {
  run_effects effects;
  held_ = true;
  for (std::uint32_t at = 0; at < nodes_.size(); ++at) {
    const auto& node = nodes_[at];
    for (std::uint32_t index = 0; node.active > 0 && !runs_nothing(at) && index < node.slots.size();
         ++index) {
      const auto state = node.slots[index].state;
      if (state != task_state::WAITING && !is_terminal(state)) {
        effects.cancel.push_back({{at, index}, std::string{reason}});
      }
    }
  }
  effects.ended = unended_ == 0;
  return effects;
}

// It has succeeded, but its files are gone, and it may not be repeated.
void run_graph::give_up(std::uint32_t at, std::string_view reason, run_effects& effects,
                        std::vector<instance_id>& forgotten) {
  auto& node = nodes_[at];
  for (std::uint32_t index = 0; index < node.slots.size(); ++index) {
    if (node.slots[index].state == task_state::SUCCEEDED) {
      forgotten.push_back({at, index});
      --node.ended;
      settle({at, index}, task_state::LOST, std::string{reason}, effects);
    }
  }
  node.outcome = task_state::LOST;
}

run_effects run_graph::go_on_without_files(std::string_view reason,
                                           std::vector<instance_id>& forgotten) {
  run_effects effects;
  held_ = false;
  std::vector<bool> unfinished(nodes_.size());
  for (std::uint32_t at = 0; at < nodes_.size(); ++at) {
    unfinished[at] = nodes_[at].now != phase::ended && !withdrawn(at);
  }
  const auto needed = needed_by(unfinished);
  std::vector<bool> again(nodes_.size());
  std::vector<bool> given_up(nodes_.size());
  for (const auto at : graph_.order) {
    if (is_hook(at) && nodes_[at].now == phase::ended) {
      again[at] = needs_any(at, again);
      continue;
    }
    // A fan-out over nothing has no files, a run of another pipeline has its own, and a person's
    // word stands unless it was about some.
    if (is_child(at) || (runs_nothing(at) && !needs_any(at, again))) {
      continue;
    }
    if (needed[at] && !withdrawn(at) && nodes_[at].now == phase::ended && passes(at) &&
        !nodes_[at].instances.empty()) {
      given_up[at] = definition_.tasks[at].retry.on_lost == lost_attempt::give_up;
      again[at] = !given_up[at];
    }
    if (given_up[at]) {
      give_up(at, reason, effects, forgotten);
    }
  }
  for (const auto at : graph_.order) {
    const auto stays =
        is_child(at) || (runs_nothing(at) && !needs_any(at, again) && !needs_any(at, given_up));
    if (!again[at] && (nodes_[at].now != phase::open || stays)) {
      continue;
    }
    const auto keeps = [this, at, needed = bool{needed[at]},
                        all_anew = again[at] || needs_any(at, again) ||
                                   needs_any(at, given_up)](auto state) {
      return !all_anew && fans_out(at) && !is_gang(at) &&
             (state != task_state::SUCCEEDED || !needed);
    };
    begin_anew(at, keeps, forgotten);
  }
  for (auto* queue : {&startable_, &asking_}) {
    std::erase_if(*queue, [this](auto at) { return !nodes_[at].startable; });
  }
  await_needs();
  drain(effects);
  return effects;
}

}  // namespace millrace::actors
