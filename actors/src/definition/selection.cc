// SPDX-License-Identifier: MIT
#include "millrace/actors/selection.h"

#include <algorithm>
#include <unordered_map>

#include "millrace/actors/name_rule.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;

namespace {

error unknown_task(const pipeline_definition& definition, const std::string& name) {
  suggestion near{name};
  for (const auto& each : definition.tasks) {
    if (!each.hook) {
      near.consider(each.name);
    }
  }
  auto hint = near.best().empty() ? "" : "; did you mean `" + std::string{near.best()} + "`?";
  if (name.ends_with(']')) {
    hint = "; name the task: all of a fan-out runs";
  }
  return {errc::invalid_argument,
          "`only`: the pipeline has no task `" + shown_name(name) + "`" + hint};
}

}  // namespace

runtime::result<std::vector<bool>> select_tasks(const pipeline_definition& definition,
                                                const std::vector<std::string>& only) {
  if (only.empty()) {
    return std::vector<bool>{};
  }
  const auto& tasks = definition.tasks;
  std::unordered_map<std::string_view, std::size_t> by_name;
  for (std::size_t at = 0; at < tasks.size(); ++at) {
    by_name.emplace(tasks[at].name, at);
  }
  std::vector<bool> selected(tasks.size());
  for (const auto& name : only) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      return unknown_task(definition, name);
    }
    if (tasks[found->second].hook) {
      return error{errc::invalid_argument,
                   "`only`: `" + name + "` is a hook, which follows what it belongs to"};
    }
    selected[found->second] = true;
  }
  const auto graph = graph_of(definition);
  for (auto at = graph.order.rbegin(); at != graph.order.rend(); ++at) {
    for (const auto need : graph.needs[*at]) {
      selected[need] = selected[need] || selected[*at];
    }
  }
  for (std::size_t at = 0; at < tasks.size(); ++at) {  // which select nothing themselves
    if (const auto& hook = tasks[at].hook) {
      selected[at] = hook->of.empty() || selected[by_name.at(hook->of)];
    }
  }
  return selected;
}

std::set<std::string, std::less<>> last_tasks(const pipeline_definition& definition,
                                              const std::vector<bool>& selected) {
  std::set<std::string, std::less<>> names;
  std::set<std::string_view> needed;
  for (std::size_t at = 0; at < definition.tasks.size(); ++at) {
    const auto& task = definition.tasks[at];
    if (!task.hook && (selected.empty() || selected[at])) {
      names.insert(task.name);
      needed.insert(task.needs.begin(), task.needs.end());
    }
  }
  std::erase_if(names, [&](const auto& name) { return needed.contains(name); });
  return names;
}

}  // namespace millrace::actors
