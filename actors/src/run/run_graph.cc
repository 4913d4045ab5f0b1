// SPDX-License-Identifier: MIT
#include "run/run_graph.h"

#include <algorithm>
#include <array>

#include "millrace/actors/expression.h"
#include "millrace/actors/selection.h"
#include "millrace/runtime/assert.h"
#include "run/run_scope.h"

namespace millrace::actors {

namespace {

// The condition of a task, if it is asked for each instance.
std::optional<expression> instance_condition(const task_definition& task) {
  auto parsed = parse_template(task.when);
  const auto asks = !parsed.pieces.empty() && parsed.pieces[0].formula &&
                    parsed.pieces[0].formula->uses_instance();
  return asks ? std::move(parsed.pieces[0].formula) : std::nullopt;
}

}  // namespace

run_graph::run_graph(pipeline_definition definition, bound_params params, std::string run_id)
    : definition_(std::move(definition)),
      params_(std::move(params)),
      run_id_(std::move(run_id)),
      graph_(graph_of(definition_)),
      nodes_(definition_.tasks.size()),
      needed_by_element_(nodes_.size()),
      known_(nodes_.size()),
      unended_(nodes_.size()) {
  for (std::uint32_t at = 0; at < nodes_.size(); ++at) {
    by_name_.emplace(definition_.tasks[at].name, at);
    nodes_[at].needs_left = static_cast<std::uint32_t>(graph_.needs[at].size());
    for (const auto need : graph_.element_needs[at]) {
      needed_by_element_[need] = true;
    }
  }
  set_selection({});
  find_read_outputs();
}

void run_graph::set_selection(std::vector<bool> selected) {
  selected_ = std::move(selected);
  most_resources_.clear();
  most_ranks_ = 0;
  pools_.clear();
  for (std::uint32_t at = 0; at < nodes_.size(); ++at) {
    if (!is_selected(at)) {
      continue;
    }
    const auto& task = definition_.tasks[at];
    most_ranks_ = std::max(most_ranks_, task.ranks);
    if (step_of(task) == step_kind::command) {
      pools_.insert(pool_of(definition_, task));
    }
    for (const auto& [resource, amount] : task.resources) {
      auto& most = most_resources_[resource];
      most = std::max(most, amount * std::max(task.ranks, 1U));
    }
  }
}

void run_graph::restore(instance_id id, task_state state, output_list outputs,
                        std::string_view reason, std::int32_t exit_code, attempted tried) {
  resumed_ = true;
  if (!fans_out(id.task) && is_terminal(state) && state != task_state::SUCCEEDED) {
    restore_whole(id.task, state, reason);
    nodes_[id.task].restored_whole = {state, std::move(outputs), exit_code, tried};
    return;
  }
  auto& node = nodes_[id.task];
  known_ -= known_of(node);
  node.restored[id.index] = {state, std::move(outputs), exit_code, tried};
  known_ += known_of(node);
  if (is_terminal(state)) {
    note_reason(id, state, reason);
  }
}

void run_graph::restore_whole(std::uint32_t task, task_state state, std::string_view reason) {
  resumed_ = true;
  nodes_[task].restored_whole = {state, {}, no_exit_code, attempted::no};
  nodes_[task].reasons[state] = reason;
}

run_effects run_graph::begin() {
  run_effects effects;
  for (std::uint32_t at = 0; at < nodes_.size(); ++at) {
    if (nodes_[at].needs_left == 0 || !is_selected(at)) {
      ready_.push_back(at);
    }
  }
  drain(effects);
  resumed_ = false;
  return effects;
}

// Judges what is ready and starts what may start, until nothing changes.
void run_graph::drain(run_effects& effects) {
  while (!ready_.empty() || !ended_elements_.empty() || fails_fast_) {
    if (std::exchange(fails_fast_, false)) {
      withdraw(effects);
      continue;
    }
    if (!ended_elements_.empty()) {
      const auto ended = ended_elements_.front();
      ended_elements_.pop_front();
      judge_after(ended, effects);
      continue;
    }
    const auto at = ready_.front();
    ready_.pop_front();
    judge(at, effects);
  }
  start_more(effects);
  effects.ended = unended_ == 0;
}

bool run_graph::withdrawn(std::uint32_t at) const {
  const auto rule = definition_.tasks[at].run_on;
  const auto tidies = rule == trigger_rule::always || is_hook(at);
  return stopping_ == stop_reach::everything || (stopping_ && !tidies) ||
         (!failure_.empty() && !tidies && rule != trigger_rule::failure);
}

// Nothing: the run.
std::optional<std::uint32_t> run_graph::owner_of(std::uint32_t hook) const {
  return definition_.tasks[hook].hook->of.empty() ? std::nullopt
                                                  : std::optional{graph_.needs[hook].front()};
}

// Which end there is to follow; nothing if what the hook belongs to never started.
std::optional<hook_event> run_graph::event_for(std::uint32_t hook) const {
  const auto owner = owner_of(hook);
  if (!owner) {
    const auto state = outcome();
    return state == run_state::SUCCEEDED   ? hook_event::success
           : state == run_state::CANCELLED ? hook_event::cancel
                                           : hook_event::failure;
  }
  const auto& node = nodes_[*owner];
  if (node.outcome == task_state::SUCCEEDED) {
    return hook_event::success;
  }
  if (is_failure(node.outcome)) {
    return hook_event::failure;
  }
  const auto tried = std::any_of(node.slots.begin(), node.slots.end(),
                                 [](const slot& one) { return one.tried == attempted::yes; });
  return node.outcome == task_state::CANCELLED && tried ? std::optional{hook_event::cancel}
                                                        : std::nullopt;
}

// Whether the end has come that the hook follows; settles it if not.
bool run_graph::judge_hook(std::uint32_t at, run_effects& effects) {
  const auto on = definition_.tasks[at].hook->on;
  const auto event = event_for(at);
  const auto starts = event && (on == hook_event::any || on == *event);
  if (!starts) {
    const auto owner = owner_of(at);
    settle_whole(at, task_state::SKIPPED,
                 owner ? end_text(*owner) : "the run: " + std::string{to_string(outcome())},
                 effects);
  }
  return starts;
}

// Whether `run_on` lets the task start; settles it if not.
bool run_graph::judge_needs(std::uint32_t at, run_effects& effects) {
  const auto& task = definition_.tasks[at];
  const auto count = [&](auto&& what) {
    return std::count_if(graph_.needs[at].begin(), graph_.needs[at].end(), what);
  };
  const auto needs = static_cast<std::ptrdiff_t>(graph_.needs[at].size());
  const auto has_elements = [this, at](auto need) {  // each is judged by itself
    return needs_element(at, need) && !nodes_[need].instances.empty();
  };
  const auto succeeded = count([&](auto need) { return passes(need) || has_elements(need); });
  const auto failed = count([&](auto need) { return fails(need) && !has_elements(need); });
  const auto skipped =
      count([this](auto need) { return nodes_[need].outcome == task_state::SKIPPED; });
  auto starts = true;
  switch (task.run_on) {
    case trigger_rule::success:
      starts = succeeded == needs;
      break;
    case trigger_rule::failure:
      starts = failed > 0;
      break;
    case trigger_rule::always:
      break;
    case trigger_rule::any:
      starts = needs == 0 || succeeded > 0;
      break;
    case trigger_rule::no_failure:
      starts = succeeded + skipped == needs;
      break;
  }
  if (!starts) {
    const auto only_skipped = failed == 0 && succeeded + skipped == needs;
    const auto skip = task.run_on == trigger_rule::failure || only_skipped;
    settle_whole(at, skip ? task_state::SKIPPED : task_state::UPSTREAM_FAILED, needs_text(at),
                 effects);
  }
  return starts;
}

// Whether `when` lets the task start, as far as that is asked once; settles it if not.
bool run_graph::judge_when(std::uint32_t at, run_effects& effects) {
  const auto& task = definition_.tasks[at];
  if (instance_condition(task)) {
    return true;
  }
  const auto wanted = decide(task.when, scope{*this, at, nullptr});
  if (!wanted) {
    settle_whole(at, task_state::ERRORED, "`when`: " + wanted.error().text(), effects);
    return false;
  }
  if (!*wanted) {
    settle_whole(at, task_state::SKIPPED, "its condition is false", effects);
  }
  return *wanted;
}

void run_graph::judge(std::uint32_t at, run_effects& effects) {
  auto& node = nodes_[at];
  if (node.restored_whole) {
    settle_whole(at, node.restored_whole->state, {}, effects);
  } else if (!is_selected(at)) {
    settle_whole(at, task_state::SKIPPED, std::string{not_selected}, effects);
  } else if (withdrawn(at) && node.restored.empty()) {
    settle_whole(at, task_state::CANCELLED, withdrawal_text(), effects);
  } else if (!node.restored.empty() ||  // it was open before the restart
             (is_hook(at) ? judge_hook(at, effects)
                          : judge_needs(at, effects) && judge_when(at, effects))) {
    open(at, effects);
  }
}

void run_graph::judge_each_when(std::uint32_t at, run_effects& effects) {
  auto& node = nodes_[at];
  const auto& task = definition_.tasks[at];
  const auto condition = instance_condition(task);
  if (!condition) {
    return;
  }
  evaluation_budget budget;  // of all: they are decided in one turn
  for (std::uint32_t index = 0; index < node.slots.size(); ++index) {
    if (node.slots[index].state != task_state::WAITING) {
      continue;
    }
    const auto wanted = decide(*condition, scope{*this, at, &node.instances[index]}, budget);
    if (!wanted) {
      const std::string together =
          budget.is_spent() && index > 0 ? "with those of the instances before it " : "";
      const auto reason = "`when`: " + together + wanted.error().text();
      settle({at, index}, task_state::ERRORED, reason, effects);
      fail_fast({at, index}, reason, effects);
    } else if (!*wanted) {
      settle({at, index}, task_state::SKIPPED, "its condition is false", effects);
    }
  }
}

void run_graph::open(std::uint32_t at, run_effects& effects) {
  auto& node = nodes_[at];
  const auto& task = definition_.tasks[at];
  auto instances = expand(task, scope{*this, at, nullptr});
  if (!instances) {
    settle_whole(at, task_state::ERRORED, instances.error().text(), effects);
    return;
  }
  if (!has_as_many(at, instances->size(), effects)) {
    return;
  }
  if (instances->empty()) {
    settle_empty(at, effects);
    return;
  }
  known_ -= known_of(node);
  node.now = phase::open;
  node.instances = *std::move(instances);
  node.slots.resize(node.instances.size());
  for (auto& [index, known] : node.restored) {
    if (index < node.slots.size()) {
      node.slots[index] = std::move(known);
      if (is_gang(at) && node.slots[index].state == task_state::BACKING_OFF) {
        continue;
      }
      (is_terminal(node.slots[index].state) ? node.ended : node.active) += 1;
      node.failed += is_failure(node.slots[index].state) ? 1 : 0;
    }
  }
  const auto backing_off = std::count_if(
      node.slots.begin(), node.slots.end(),
      [&](const slot& each) { return is_gang(at) && each.state == task_state::BACKING_OFF; });
  MILLRACE_ASSERT(backing_off == 0 || backing_off == std::ssize(node.slots));  // of one round
  node.failed_fast = task.fail_fast && !within_allowance(at);
  active_ += runs_nothing(at) ? 0 : node.active;
  node.restored.clear();
  known_ += known_of(node);
  if (withdrawn(at)) {
    settle_unstarted(at, task_state::CANCELLED, withdrawal_text(), effects);
  }
  judge_each_when(at, effects);
  tell_opened(at);
  if (graph_.element_needs[at].empty()) {
    may_start(at);
  }
  for (std::uint32_t index = 0; !graph_.element_needs[at].empty() && index < node.slots.size();
       ++index) {
    judge_element({at, index}, effects);
  }
  finish_if_done(at);
}

// A fan-out without instances goes by one row of its own name.
void run_graph::settle_empty(std::uint32_t at, run_effects& effects) {
  switch (definition_.tasks[at].on_empty) {
    case empty_fan_out::succeed:
      return settle_whole(at, task_state::SUCCEEDED, "0 of 0: its list is empty", effects);
    case empty_fan_out::skip:
      return settle_whole(at, task_state::SKIPPED, "its list is empty", effects);
    case empty_fan_out::fail:
      return settle_whole(at, task_state::FAILED, "its list is empty (`on_empty` is `fail`)",
                          effects);
  }
}

void run_graph::settle(instance_id id, task_state state, std::string reason, run_effects& effects) {
  auto& node = nodes_[id.task];
  node.slots[id.index].state = state;
  ++node.ended;
  node.failed += is_failure(state) ? 1 : 0;
  note_reason(id, state, reason);
  if (needed_by_element_[id.task]) {
    ended_elements_.push_back(id);
  }
  effects.settled.push_back({id, state, std::move(reason)});
}

void run_graph::settle_whole(std::uint32_t at, task_state state, std::string reason,
                             run_effects& effects) {
  auto& node = nodes_[at];
  const auto known = std::exchange(node.restored_whole, {});  // it was settled before a restart
  known_ -= known_of(node);
  node.restored.clear();
  node.now = phase::ended;
  node.outcome = state;
  node.slots.assign(1, known.value_or(slot{state, {}, no_exit_code, attempted::no}));
  node.failed = is_failure(state) ? 1 : 0;
  node.instances.clear();
  known_ += known_of(node);
  if (!known) {
    node.reasons[state] = reason;
    effects.settled.push_back({{at, 0}, state, std::move(reason)});
  }
  after_end(at);
}

void run_graph::after_end(std::uint32_t at) {
  --unended_;
  if (definition_.fail_fast && !stopping_ && failure_.empty() && fails(at) && !is_hook(at)) {
    failure_ = end_text(at) + " (`fail_fast` of the pipeline)";
    fails_fast_ = !resumed_;
  }
  for (const auto dependent : graph_.dependents[at]) {
    if (nodes_[at].opened && needs_element(dependent, at)) {
      continue;  // it knows
    }
    if (--nodes_[dependent].needs_left == 0 && nodes_[dependent].now == phase::waiting &&
        is_selected(dependent)) {
      ready_.push_back(dependent);
    }
  }
}

// One that has not opened counts as one instance, or as those that were kept from before.
std::size_t run_graph::known_of(const task_node& one) {
  return one.now == phase::waiting ? std::max<std::size_t>(one.restored.size(), 1)
                                   : one.slots.size();
}

task_state run_graph::outcome_of(const task_node& one) {
  // The worst instance speaks for the task; a task is skipped only if all of it was.
  constexpr std::array worst_first{task_state::FAILED,    task_state::ERRORED,
                                   task_state::TIMED_OUT, task_state::LOST,
                                   task_state::CANCELLED, task_state::UPSTREAM_FAILED};
  for (const auto state : worst_first) {
    if (std::any_of(one.slots.begin(), one.slots.end(),
                    [state](const slot& each) { return each.state == state; })) {
      return state;
    }
  }
  const auto all_skipped = std::all_of(one.slots.begin(), one.slots.end(), [](const slot& each) {
    return each.state == task_state::SKIPPED;
  });
  return all_skipped ? task_state::SKIPPED : task_state::SUCCEEDED;
}

// Whether no more instances have failed than the task allows. A fan-out without any has not tried.
bool run_graph::within_allowance(std::uint32_t at) const {
  const auto& node = nodes_[at];
  if (fans_out(at) && node.instances.empty()) {
    return node.failed == 0;
  }
  const auto& allowed = definition_.tasks[at].allow_failures;
  constexpr std::size_t whole = 100;
  return allowed.is_percentage ? node.failed * whole <= allowed.count * node.slots.size()
                               : node.failed <= allowed.count;
}

bool run_graph::passes(std::uint32_t at) const {
  const auto outcome = nodes_[at].outcome;
  return outcome == task_state::SUCCEEDED || (is_failure(outcome) && within_allowance(at));
}

bool run_graph::fails(std::uint32_t at) const {
  return is_failure(nodes_[at].outcome) && !within_allowance(at);
}

void run_graph::finish_if_done(std::uint32_t at) {
  auto& node = nodes_[at];
  if (node.now == phase::open && node.ended == node.slots.size()) {
    node.now = phase::ended;
    node.outcome = outcome_of(node);
    after_end(at);
  }
}

std::size_t run_graph::parallel_max() const {
  return std::min<std::size_t>(start_window, definition_.max_parallel.value_or(start_window));
}

bool run_graph::may_start_more(const task_node& one, const task_definition& task) const {
  return (active_ < parallel_max() || step_of(task) != step_kind::command) &&
         one.active < task.max_parallel.value_or(start_window);
}

// The window bounds what starts one by one, so that a gang never waits for what ends late or never
// where nobody has set a bound.
bool run_graph::may_start_all(const task_definition& gang) const {
  const auto window = start_window + gang_ranks_max;
  return active_ == 0 ||
         active_ + gang.ranks <=
             std::min<std::size_t>(definition_.max_parallel.value_or(window), window);
}

// Hooks first: they tidy up, and wait for no gang that finds no room in the run.
void run_graph::may_start(std::uint32_t at) {
  nodes_[at].startable = true;
  auto& queue = runs_nothing(at) ? asking_ : startable_;
  is_hook(at) ? queue.push_front(at) : queue.push_back(at);
}

void run_graph::start_more(run_effects& effects) {
  if (!held_ && !paused_) {
    start_more_of(asking_, effects);
    start_more_of(startable_, effects);
  }
}

void run_graph::start_more_of(std::deque<std::uint32_t>& queue, run_effects& effects) {
  for (auto left = queue.size(); left > 0 && !queue.empty(); --left) {
    const auto at = queue.front();
    auto& node = nodes_[at];
    const auto& task = definition_.tasks[at];
    auto next = next_unstarted(at);
    if (next && is_gang(at) && !may_start_all(task)) {
      return;  // all of them or none
    }
    for (; next && (is_gang(at) || may_start_more(node, task)); next = next_unstarted(at)) {
      node.slots[*next].state = task_state::QUEUED;
      effects.start.push_back({at, *next});
      ++node.active;
      active_ += runs_nothing(at) ? 0 : 1;
    }
    if (next && node.active < task.max_parallel.value_or(start_window)) {
      return;  // the run's own bound: this task goes on first
    }
    // It is all started, or comes back when one of its own instances ends.
    node.startable = false;
    queue.pop_front();
  }
}

run_effects run_graph::ended(instance_id id, task_state state, output_list outputs,
                             std::string_view reason, std::int32_t exit_code, attempted tried) {
  run_effects effects;
  auto& node = nodes_[id.task];
  if (node.now != phase::open || id.index >= node.slots.size() ||
      is_terminal(node.slots[id.index].state) ||
      node.slots[id.index].state == task_state::WAITING) {
    return effects;
  }
  --node.active;
  active_ -= runs_nothing(id.task) ? 0 : 1;
  const auto is_unstarted = state == task_state::CANCELLED ||
                            (state == task_state::LOST && is_gang(id.task) &&
                             definition_.tasks[id.task].retry.on_lost == lost_attempt::start_again);
  if (held_ && is_unstarted && !withdrawn(id.task) && !node.failed_fast) {
    node.slots[id.index] = {};
    effects.unstarted.push_back(id);
    return effects;
  }
  node.slots[id.index] = {state, std::move(outputs), exit_code, tried};
  ++node.ended;
  note_reason(id, state, reason);
  if (needed_by_element_[id.task]) {
    ended_elements_.push_back(id);
  }
  if (is_failure(state)) {
    ++node.failed;
    fail_fast(id, reason, effects);
  }
  if (!begin_again(id.task, effects)) {
    finish_if_done(id.task);
  }
  if (node.now == phase::open && !node.startable && next_unstarted(id.task)) {
    may_start(id.task);
  }
  drain(effects);
  return effects;
}

// The first failed instance of a fan-out ends the others.
void run_graph::fail_fast(instance_id failed, std::string_view why, run_effects& effects) {
  const auto at = failed.task;
  auto& node = nodes_[at];
  if (!definition_.tasks[at].fail_fast || node.slots.size() < 2 || node.failed_fast ||
      within_allowance(at)) {
    return;
  }
  node.failed_fast = true;
  const auto reason = is_gang(at) ? rank_text(failed, why) : fail_fast_text(failed, why);
  if (is_gang(at)) {
    node.gang.failed = failed.index;
    node.gang_failure = reason;
  }
  settle_unstarted(at, task_state::CANCELLED, reason, effects);
  for (std::uint32_t index = 0; index < node.slots.size() && node.active > 0; ++index) {
    if (!is_terminal(node.slots[index].state)) {
      effects.cancel.push_back({{at, index}, std::string{reason}});
    }
  }
}

void run_graph::settle_unstarted(std::uint32_t at, task_state state, std::string_view reason,
                                 run_effects& effects) {
  auto& node = nodes_[at];
  for (; node.next < node.slots.size(); ++node.next) {
    if (node.slots[node.next].state == task_state::WAITING) {
      settle({at, node.next}, state, std::string{reason}, effects);
    }
  }
}

run_effects run_graph::stop(std::string_view reason, stop_reach reach, run_state end) {
  run_effects effects;
  stop_end_ = stopping_ ? stop_end_ : end;
  stopping_ = reach;
  stop_reason_ = reason;
  paused_ = false;
  withdraw(effects);
  drain(effects);  // tasks that still wait for active ones are judged as those end
  return effects;
}

// Of the tasks that are not wanted any more: settles what has not started, cancels what has.
void run_graph::withdraw(run_effects& effects) {
  for (std::uint32_t at = 0; at < nodes_.size(); ++at) {
    auto& node = nodes_[at];
    if (node.now != phase::open || !withdrawn(at)) {
      continue;
    }
    if (is_backing_off(at)) {
      reset_ranks(at, task_state::WAITING);
    }
    settle_unstarted(at, task_state::CANCELLED, withdrawal_text(), effects);
    for (std::uint32_t index = 0; index < node.slots.size(); ++index) {
      if (!is_terminal(node.slots[index].state)) {
        effects.cancel.push_back({{at, index}, withdrawal_text()});
      }
    }
    finish_if_done(at);
  }
}

run_effects run_graph::resume() {
  run_effects effects;
  paused_ = false;
  drain(effects);
  return effects;
}

run_state run_graph::outcome() const noexcept {
  if (stopping_) {
    return stop_end_;
  }
  const auto bad = std::any_of(graph_.order.begin(), graph_.order.end(), [this](auto at) {
    return fails(at) || nodes_[at].outcome == task_state::UPSTREAM_FAILED ||
           nodes_[at].outcome == task_state::CANCELLED;
  });
  return bad ? run_state::FAILED : run_state::SUCCEEDED;
}

}  // namespace millrace::actors
