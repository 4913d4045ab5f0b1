// SPDX-License-Identifier: MIT
#include <queue>
#include <unordered_map>

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

step_kind step_of(const task_definition& task) noexcept {
  if (!task.approval.empty()) {
    return step_kind::approval;
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

task_graph graph_of(const pipeline_definition& definition) {
  const auto count = definition.tasks.size();
  std::unordered_map<std::string_view, std::uint32_t> by_name;
  for (std::uint32_t index = 0; index < count; ++index) {
    by_name.emplace(definition.tasks[index].name, index);
  }
  task_graph graph;
  graph.needs.resize(count);
  graph.dependents.resize(count);
  std::vector<std::size_t> left(count);
  // Kahn's algorithm; the lowest position first keeps the written order where it is free.
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
  for (std::uint32_t index = 0; index < count; ++index) {
    for (const auto& need : definition.tasks[index].needs) {
      const auto at = by_name.at(need);
      graph.needs[index].push_back(at);
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
