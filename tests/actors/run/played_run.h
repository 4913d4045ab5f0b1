// SPDX-License-Identifier: MIT
// A run in which a test plays the tasks.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/actors/selection.h"
#include "run/run_graph.h"

namespace millrace::actors {

inline pipeline_definition loaded(const std::string& text) {
  auto made = load_definition(text, "p.yaml");
  for (const auto& each : made.diagnostics) {
    MESSAGE(to_string(each));
  }
  REQUIRE(made);
  return *std::move(made.definition);
}

/// Keeps the rows that a run actor would store.
class played_run {
public:
  explicit played_run(const std::string& text, std::vector<std::string> only = {})
      : definition_(loaded(text)),
        only_(std::move(only)),
        graph_(definition_, bind_params(definition_, {}), "r") {
    graph_.set_selection(*select_tasks(definition_, only_));
    take(graph_.begin());
  }

  void end(std::string name, task_state state,
           output_list outputs = {},  // by value: the key may be erased
           const std::string& reason = {}, std::int32_t exit_code = no_exit_code,
           attempted tried = attempted::yes) {
    REQUIRE(running_.contains(name));
    const auto id = running_.at(name);
    running_.erase(name);
    rows_[name] = {id, state, outputs, reason, exit_code, tried};
    take(graph_.ended(id, state, std::move(outputs), reason, exit_code, tried));
    go_on_if_idle();
  }
  void lose_files() {
    take(graph_.hold("files are lost"));
    go_on_if_idle();
  }
  void go_on_if_idle() {
    if (graph_.held() && graph_.active() == 0 && !ended_) {
      std::vector<instance_id> forgotten;
      const auto effects = graph_.go_on_without_files("lost", forgotten);
      forget(forgotten);
      take(effects);
    }
  }
  void forget(const std::vector<instance_id>& forgotten) {
    for (const auto id : forgotten) {
      std::erase_if(rows_, [id](const auto& row) { return row.second.id == id; });
    }
  }
  void stop(stop_reach reach = stop_reach::ordinary, run_state end = run_state::CANCELLED) {
    stopping_ = reach;
    stop_end_ = end;
    take(graph_.stop("stop", reach, end));
  }
  void retry(const std::vector<std::uint32_t>& from = {}) {
    stopping_.reset();
    ended_ = false;
    std::vector<instance_id> forgotten;
    const auto effects = graph_.retry(forgotten, run_graph::files::kept, from);
    forget(forgotten);
    take(effects);
  }
  // The delay before the next round of a gang has passed.
  void round_is_due(const std::string& task) { take(graph_.begin_round(*graph_.find(task))); }
  std::map<std::string, std::string> environment(const std::string& name) const {
    const auto made = graph_.environment(running_.at(name));
    REQUIRE(made);
    return *made;
  }
  // As after a restart: a graph from the rows alone, which has nothing to do but wait.
  void come_back() {
    const auto held = graph_.held();
    std::vector<gang_row> gangs;
    for (std::uint32_t at = 0; at < definition_.tasks.size(); ++at) {
      gangs.push_back(graph_.gang(at));
    }
    graph_ = run_graph{definition_, bind_params(definition_, {}), "r"};
    graph_.set_selection(*select_tasks(definition_, only_));
    for (const auto& [name, row] : rows_) {
      if (graph_.fans_out(row.id.task) && !name.ends_with(']')) {
        graph_.restore_whole(row.id.task, row.state, row.reason);
      } else {
        graph_.restore(row.id, row.state, row.outputs, row.reason, row.exit_code, row.tried);
      }
    }
    for (std::uint32_t at = 0; at < gangs.size(); ++at) {
      graph_.restore_gang(at, gangs[at]);
    }
    if (stopping_) {
      graph_.restore_stopping("cancelled", *stopping_, stop_end_);
    }
    if (held) {
      graph_.restore_held();
    }
    const auto effects = graph_.begin();
    CHECK(effects.start.empty());
    CHECK(effects.settled.empty());
    CHECK(effects.cancel.empty());
    CHECK(effects.ended == ended_);
  }
  void take(const run_effects& effects) {
    forget(effects.unstarted);
    again_.insert(again_.end(), effects.again.begin(), effects.again.end());
    for (const auto& each : effects.again) {
      for (std::uint32_t rank = 0; rank < definition_.tasks[each.task].ranks; ++rank) {
        const instance_id id{each.task, rank};
        rows_[graph_.name_of(id)] = {id, task_state::BACKING_OFF, {}, each.reason};
      }
    }
    for (const auto id : effects.start) {
      const auto& task = definition_.tasks[id.task];
      CHECK((!stopping_ || (stopping_ == stop_reach::ordinary &&
                            (task.run_on == trigger_rule::always || task.hook))));
      CHECK(running_.emplace(graph_.name_of(id), id).second);
      rows_[graph_.name_of(id)] = {id, task_state::QUEUED, {}, {}};
    }
    for (const auto& each : effects.settled) {
      settled_[graph_.name_of(each.id)] = each.state;
      reasons_[graph_.name_of(each.id)] = each.reason;
      rows_[graph_.name_of(each.id)] = {each.id,     each.state,   {},
                                        each.reason, no_exit_code, attempted::no};
    }
    cancelled_.clear();
    for (const auto& each : effects.cancel) {
      cancelled_.insert(graph_.name_of(each.id));
      reasons_[graph_.name_of(each.id)] = each.reason;
    }
    ended_ = effects.ended;
  }

  std::set<std::string> running() const {
    std::set<std::string> names;
    for (const auto& [name, id] : running_) {
      names.insert(name);
    }
    return names;
  }

  struct stored {
    instance_id id;
    task_state state;
    output_list outputs;
    std::string reason;
    std::int32_t exit_code = no_exit_code;
    attempted tried = attempted::yes;
  };
  pipeline_definition definition_;
  std::vector<std::string> only_;
  run_graph graph_;
  std::map<std::string, stored> rows_;
  std::optional<stop_reach> stopping_;
  run_state stop_end_ = run_state::CANCELLED;
  std::map<std::string, instance_id> running_;
  std::map<std::string, task_state> settled_;
  std::map<std::string, std::string> reasons_;  // of what was settled or is cancelled
  std::set<std::string> cancelled_;
  std::vector<gang_again> again_;  // all so far
  bool ended_ = false;
};

using names = std::set<std::string>;

}  // namespace millrace::actors
