// SPDX-License-Identifier: MIT
#include <queue>
#include <unordered_map>

#include "definition/loader.h"
#include "millrace/actors/definition.h"

namespace millrace::actors {

std::string_view to_string(param_type type) noexcept {
  switch (type) {
    case param_type::text:
      return "string";
    case param_type::integer:
      return "int";
    case param_type::floating:
      return "float";
    case param_type::boolean:
      return "bool";
    case param_type::list:
      return "list";
    case param_type::map:
      return "map";
  }
  return "";
}

std::string_view to_string(trigger_rule rule) noexcept {
  switch (rule) {
    case trigger_rule::success:
      return "success";
    case trigger_rule::failure:
      return "failure";
    case trigger_rule::always:
      return "always";
    case trigger_rule::any:
      return "any";
    case trigger_rule::no_failure:
      return "no_failure";
  }
  return "";
}

std::string_view to_string(empty_fan_out rule) noexcept {
  switch (rule) {
    case empty_fan_out::succeed:
      return "succeed";
    case empty_fan_out::skip:
      return "skip";
    case empty_fan_out::fail:
      return "fail";
  }
  return "";
}

std::string_view to_string(preemption_rule rule) noexcept {
  switch (rule) {
    case preemption_rule::requeue:
      return "requeue";
    case preemption_rule::cancel:
      return "cancel";
    case preemption_rule::never:
      return "never";
  }
  return "";
}

std::string_view to_string(secret_source source) noexcept {
  switch (source) {
    case secret_source::file:
      return "file";
    case secret_source::environment:
      return "env";
    case secret_source::project:
      return "project";
  }
  return "";
}

std::string pool_of(const pipeline_definition& definition, const task_definition& task) {
  const auto& named = task.pool.empty() ? definition.pool : task.pool;
  return named.empty() ? std::string{default_pool} : named;
}

step_kind step_of(const task_definition& task) noexcept {
  if (!task.approval.empty()) {
    return step_kind::approval;
  }
  if (task.callback) {
    return step_kind::callback;
  }
  if (task.actor) {
    return step_kind::actor;
  }
  return task.pipeline.empty() ? step_kind::command : step_kind::child;
}

std::string_view to_string(trigger_event event) noexcept {
  switch (event) {
    case trigger_event::success:
      return "success";
    case trigger_event::failure:
      return "failure";
    case trigger_event::end:
      return "end";
  }
  return "unknown";
}

std::string_view to_string(at_limit action) noexcept {
  switch (action) {
    case at_limit::queue:
      return "queue";
    case at_limit::cancel_oldest:
      return "cancel_oldest";
    case at_limit::reject:
      return "reject";
  }
  return "unknown";
}

std::string_view to_string(workspace_mode mode) noexcept {
  return mode == workspace_mode::run ? "run" : "task";
}

void add_hook_edges(const std::vector<task_definition>& tasks,
                    std::vector<std::vector<std::uint32_t>>& needs) {
  const auto is_of_run = [](const task_definition& task) {
    return task.hook && task.hook->of.empty();
  };
  std::uint32_t owner = 0;  // of the hooks that come next
  for (std::uint32_t at = 0; at < tasks.size(); ++at) {
    const auto& hook = tasks[at].hook;
    if (!hook) {
      owner = at;
      continue;
    }
    auto& edges = needs[at];
    if (is_of_run(tasks[at])) {
      for (std::uint32_t other = 0; other < tasks.size() && !is_of_run(tasks[other]); ++other) {
        edges.push_back(other);
      }
    } else {
      edges.push_back(owner);
    }
    if (hook->on == hook_event::any) {
      for (auto near = at; near > 0 && tasks[near - 1].hook && tasks[near - 1].hook->of == hook->of;
           --near) {
        edges.push_back(near - 1);
      }
    }
  }
}

task_graph graph_of(const pipeline_definition& definition) {
  const auto count = definition.tasks.size();
  std::unordered_map<std::string_view, std::uint32_t> by_name;
  for (std::uint32_t index = 0; index < count; ++index) {
    by_name.emplace(definition.tasks[index].name, index);
  }
  task_graph graph;
  graph.needs.resize(count);
  graph.dependents.resize(count);
  graph.element_needs.resize(count);
  add_hook_edges(definition.tasks, graph.needs);
  std::vector<std::size_t> left(count);
  // Kahn's algorithm; the lowest position first keeps the written order where it is free.
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
  for (std::uint32_t index = 0; index < count; ++index) {
    for (const auto& need : definition.tasks[index].needs) {
      graph.needs[index].push_back(by_name.at(need));
    }
    for (const auto& need : definition.tasks[index].element_needs) {
      graph.element_needs[index].push_back(by_name.at(need));
    }
    for (const auto at : graph.needs[index]) {
      graph.dependents[at].push_back(index);
    }
    left[index] = graph.needs[index].size();
    if (left[index] == 0) {
      ready.push(index);
    }
  }
  while (!ready.empty()) {
    const auto next = ready.top();
    ready.pop();
    graph.order.push_back(next);
    for (const auto dependent : graph.dependents[next]) {
      if (--left[dependent] == 0) {
        ready.push(dependent);
      }
    }
  }
  return graph;
}

}  // namespace millrace::actors
