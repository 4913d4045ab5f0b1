// SPDX-License-Identifier: MIT
// Run model: what a run must do, told a second time and as plainly as can be.
//
// It knows the rules of run_graph.h for tasks with needs, `run_on`, conditions, fan-outs and their
// bounds, for approvals and hooks, and looks at every task at every event, whatever that costs. It
// does not choose what starts: it is told, and checks that this may be so.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "run/run_graph.h"

namespace millrace::actors {

/// A task as the model sees it.
struct modelled_task {
  enum class condition { none, never, first_need_succeeded, other_items };

  std::string name;
  std::vector<std::size_t> needs;
  trigger_rule rule = trigger_rule::success;
  condition when = condition::none;
  std::optional<std::size_t> width;  ///< Of its fan-out, over 1, 2, 3...; nothing: it has none.
  std::optional<std::size_t> max_parallel;
  std::size_t allow_failures = 0;
  bool fail_fast = false;
  bool asks = false;  ///< A person: it is an approval.
  std::vector<hook_event> hooks;
  std::optional<hook_event> follows;  ///< It is a hook.
  std::optional<std::size_t> owner;   ///< Of a hook; nothing: the run.
};

struct modelled_pipeline {
  std::vector<modelled_task> tasks;
  std::vector<hook_event> hooks;
  std::optional<std::size_t> max_parallel;
  bool fail_fast = false;
};

class run_model {
public:
  using rows = std::map<std::string, task_state>;

  explicit run_model(modelled_pipeline of)
      : of_(with_hooks(std::move(of))), nodes_(of_.tasks.size()) {
    look();
  }

  void started(const std::string& name) {
    const auto [at, index] = place(name);
    auto& node = nodes_[at];
    REQUIRE(node.opened);
    REQUIRE(index < node.states.size());
    REQUIRE(node.states[index] == task_state::WAITING);
    REQUIRE_FALSE(withdrawn(at));
    node.states[index] = task_state::RUNNING;
    CHECK(active(at) <= of_.tasks[at].max_parallel.value_or(active(at)));
    CHECK(active() <= of_.max_parallel.value_or(active()));
  }

  void ended(const std::string& name, task_state state, attempted tried) {
    const auto [at, index] = place(name);
    auto& node = nodes_[at];
    node.states[index] = state;
    node.tried = node.tried || tried == attempted::yes;
    if (is_failure(state) && of_.tasks[at].fail_fast && node.states.size() > 1 &&
        failed(at) > of_.tasks[at].allow_failures) {
      cancel_waiting(at);
    }
    look();
  }

  void stop(stop_reach reach, run_state end) {
    stop_end_ = stopping_ ? stop_end_ : end;
    stopping_ = reach;
    withdraw();
    look();
  }

  void retry(const std::set<std::size_t>& from) {
    stopping_.reset();
    failing_ = false;
    std::vector<bool> again(nodes_.size());
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      const auto& needs = of_.tasks[at].needs;
      const auto wholly = from.contains(at) || std::any_of(needs.begin(), needs.end(),
                                                           [&](auto need) { return again[need]; });
      again[at] = wholly || (!passes(at) && outcome(at) != task_state::SKIPPED);
      if (!again[at]) {
        continue;
      }
      auto old = std::exchange(nodes_[at], {});
      if (!wholly && of_.tasks[at].width && !old.whole) {
        std::replace_if(
            old.states.begin(), old.states.end(),
            [](auto state) { return state != task_state::SUCCEEDED; }, task_state::WAITING);
        nodes_[at].kept = std::move(old.states);
        nodes_[at].tried = passed_any(nodes_[at].kept);
      }
    }
    look();
  }

  /// Of all that has ended, as the run would list them.
  rows ended() const {
    rows made;
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      const auto& [name, width] = std::pair{of_.tasks[at].name, of_.tasks[at].width};
      if (nodes_[at].whole) {
        made[name] = *nodes_[at].whole;
      }
      for (std::size_t index = 0; index < nodes_[at].states.size(); ++index) {
        if (is_terminal(nodes_[at].states[index])) {
          made[width ? name + "[" + std::to_string(index) + "]" : name] = nodes_[at].states[index];
        }
      }
    }
    return made;
  }

  /// Whether something waits that no bound holds up: then the run has forgotten it.
  bool forgets() const {
    const auto is_full = active() >= of_.max_parallel.value_or(start_window);
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      const auto& states = nodes_[at].states;
      if (nodes_[at].opened && (!is_full || of_.tasks[at].asks) &&
          active(at) < of_.tasks[at].max_parallel.value_or(start_window) &&
          std::count(states.begin(), states.end(), task_state::WAITING) > 0) {
        return true;
      }
    }
    return false;
  }

  bool over() const {
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      if (!done(at)) {
        return false;
      }
    }
    return true;
  }

  run_state outcome() const {
    if (stopping_) {
      return stop_end_;
    }
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      const auto state = outcome(at);
      if (fails(at) || state == task_state::UPSTREAM_FAILED || state == task_state::CANCELLED) {
        return run_state::FAILED;
      }
    }
    return run_state::SUCCEEDED;
  }

private:
  struct progress {
    bool opened = false;
    std::vector<task_state> states;   // of its instances, once opened
    std::optional<task_state> whole;  // it was settled without any
    std::vector<task_state> kept;     // of an earlier try
    bool tried = false;               // a command of one of them has begun
  };

  // Hooks are tasks behind all others: each needs what it follows, and the last one the rest, too.
  static modelled_pipeline with_hooks(modelled_pipeline of) {
    const auto add = [&](std::optional<std::size_t> owner, const std::vector<hook_event>& events) {
      std::vector<std::size_t> needs;
      for (std::size_t at = 0; at < of.tasks.size(); ++at) {
        if (!owner || owner == at) {
          needs.push_back(at);
        }
      }
      const auto first = of.tasks.size();
      for (const auto on :
           {hook_event::success, hook_event::failure, hook_event::cancel, hook_event::any}) {
        if (std::count(events.begin(), events.end(), on) > 0) {
          modelled_task hook;
          hook.name = (owner ? of.tasks[*owner].name + "." : "") + std::string{to_string(on)};
          hook.needs = needs;
          for (auto near = first; on == hook_event::any && near < of.tasks.size(); ++near) {
            hook.needs.push_back(near);
          }
          hook.follows = on;
          hook.owner = owner;
          of.tasks.push_back(std::move(hook));
        }
      }
    };
    const auto count = of.tasks.size();
    for (std::size_t at = 0; at < count; ++at) {
      add(at, std::vector{of.tasks[at].hooks});
    }
    add(std::nullopt, of.hooks);
    return of;
  }

  static bool passed_any(const std::vector<task_state>& states) {
    return std::count(states.begin(), states.end(), task_state::SUCCEEDED) > 0;
  }

  // The end that a hook follows; nothing where nothing had begun.
  std::optional<hook_event> event_for(const modelled_task& hook) const {
    if (!hook.owner) {
      const auto state = outcome();
      return state == run_state::SUCCEEDED   ? hook_event::success
             : state == run_state::CANCELLED ? hook_event::cancel
                                             : hook_event::failure;
    }
    const auto state = outcome(*hook.owner);
    if (state == task_state::SUCCEEDED) {
      return hook_event::success;
    }
    if (is_failure(state)) {
      return hook_event::failure;
    }
    return state == task_state::CANCELLED && nodes_[*hook.owner].tried
               ? std::optional{hook_event::cancel}
               : std::nullopt;
  }

  std::pair<std::size_t, std::size_t> place(const std::string& name) const {
    const auto bracket = name.find('[');
    const auto found = std::find_if(of_.tasks.begin(), of_.tasks.end(), [&](const auto& each) {
      return each.name == name.substr(0, bracket);
    });
    REQUIRE(found != of_.tasks.end());
    return {found - of_.tasks.begin(),
            bracket == std::string::npos ? 0 : std::stoul(name.substr(bracket + 1))};
  }

  std::size_t active(std::size_t at) const {
    const auto& states = nodes_[at].states;
    return static_cast<std::size_t>(std::count(states.begin(), states.end(), task_state::RUNNING));
  }
  std::size_t active() const {
    std::size_t all = 0;
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      all += of_.tasks[at].asks ? 0 : active(at);
    }
    return all;
  }
  std::size_t failed(std::size_t at) const {
    const auto& states = nodes_[at].states;
    return static_cast<std::size_t>(std::count_if(states.begin(), states.end(), is_failure));
  }

  bool done(std::size_t at) const {
    const auto& node = nodes_[at];
    return node.whole ||
           (node.opened && std::all_of(node.states.begin(), node.states.end(), is_terminal));
  }
  task_state outcome(std::size_t at) const {
    if (nodes_[at].whole) {
      return *nodes_[at].whole;
    }
    const auto& states = nodes_[at].states;
    for (const auto worst : {task_state::FAILED, task_state::ERRORED, task_state::TIMED_OUT,
                             task_state::LOST, task_state::CANCELLED}) {
      if (std::count(states.begin(), states.end(), worst) > 0) {
        return worst;
      }
    }
    return passed_any(states) ? task_state::SUCCEEDED : task_state::SKIPPED;
  }
  bool passes(std::size_t at) const {
    const auto state = outcome(at);
    return state == task_state::SUCCEEDED ||
           (is_failure(state) && !nodes_[at].whole && failed(at) <= of_.tasks[at].allow_failures);
  }
  bool fails(std::size_t at) const { return is_failure(outcome(at)) && !passes(at); }

  bool withdrawn(std::size_t at) const {
    const auto rule = of_.tasks[at].rule;
    if (stopping_ == stop_reach::everything) {
      return true;
    }
    return (stopping_ || failing_) && rule != trigger_rule::always && !of_.tasks[at].follows &&
           (stopping_ || rule != trigger_rule::failure);
  }

  void cancel_waiting(std::size_t at) {
    auto& states = nodes_[at].states;
    std::replace(states.begin(), states.end(), task_state::WAITING, task_state::CANCELLED);
  }
  void withdraw() {
    for (std::size_t at = 0; at < nodes_.size(); ++at) {
      if (withdrawn(at)) {
        cancel_waiting(at);
      }
    }
  }

  // Judges what can be, in the written order, until there is nothing left.
  void look() {
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t at = 0; at < nodes_.size(); ++at) {
        if (of_.fail_fast && !stopping_ && !failing_ && done(at) && fails(at) &&
            !of_.tasks[at].follows) {
          failing_ = true;
          withdraw();
        }
      }
      for (std::size_t at = 0; at < nodes_.size(); ++at) {
        const auto& needs = of_.tasks[at].needs;
        if (!nodes_[at].opened && !nodes_[at].whole &&
            std::all_of(needs.begin(), needs.end(), [this](auto need) { return done(need); })) {
          judge(at);
          changed = true;
        }
      }
    }
  }

  void judge(std::size_t at) {
    auto& node = nodes_[at];
    const auto& task = of_.tasks[at];
    const auto had = passed_any(node.kept);
    if (!had) {
      node.whole = withdrawn(at) ? std::optional{task_state::CANCELLED} : refusal(task);
      if (!node.whole && task.width == 0) {
        node.whole = task_state::SUCCEEDED;
      }
      if (node.whole) {
        return;
      }
    }
    node.opened = true;
    node.states = had ? node.kept : std::vector(task.width.value_or(1), task_state::WAITING);
    if (task.when == modelled_task::condition::other_items && node.states.size() > 1 &&
        node.states[1] == task_state::WAITING) {
      node.states[1] = task_state::SKIPPED;
    }
  }

  std::optional<task_state> refusal(const modelled_task& task) const {
    if (task.follows) {
      const auto event = event_for(task);
      const auto starts = event && (task.follows == hook_event::any || task.follows == event);
      return starts ? std::nullopt : std::optional{task_state::SKIPPED};
    }
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::size_t skipped = 0;
    for (const auto need : task.needs) {
      passed += passes(need) ? 1 : 0;
      failed += fails(need) ? 1 : 0;
      skipped += outcome(need) == task_state::SKIPPED ? 1 : 0;
    }
    const auto all = task.needs.size();
    const std::map<trigger_rule, bool> starts{
        {trigger_rule::success, passed == all},
        {trigger_rule::failure, failed > 0},
        {trigger_rule::always, true},
        {trigger_rule::any, all == 0 || passed > 0},
        {trigger_rule::no_failure, passed + skipped == all},
    };
    if (!starts.at(task.rule)) {
      return task.rule == trigger_rule::failure || passed + skipped == all
                 ? task_state::SKIPPED
                 : task_state::UPSTREAM_FAILED;
    }
    const auto unwanted = task.when == modelled_task::condition::never ||
                          (task.when == modelled_task::condition::first_need_succeeded &&
                           outcome(task.needs[0]) != task_state::SUCCEEDED);
    return unwanted ? std::optional{task_state::SKIPPED} : std::nullopt;
  }

  modelled_pipeline of_;
  std::vector<progress> nodes_;
  std::optional<stop_reach> stopping_;
  run_state stop_end_ = run_state::CANCELLED;
  bool failing_ = false;
};

}  // namespace millrace::actors
