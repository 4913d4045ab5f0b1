// SPDX-License-Identifier: MIT
#include "cli/outline.h"

#include <fmt/format.h>

#include <algorithm>

#include "millrace/actors/expansion.h"

namespace millrace::gateway::cli {

namespace {

// Before anything has run: nothing of tasks.
actors::map_scope scope_before(const actors::pipeline_definition& definition,
                               const actors::bound_params& params) {
  actors::map_scope scope;
  if (params) {
    scope.params.insert(params.values.begin(), params.values.end());
  }
  scope.run_values.emplace("pipeline", actors::make_value(definition.name));
  return scope;
}

ordered_json task_json(const actors::task_definition& task, const actors::map_scope& scope) {
  auto made = ordered_json{{"name", task.name}, {"needs", task.needs}};
  const auto fans_out = task.for_each || task.matrix;
  const auto instances = actors::expand(task, scope);
  made["instances"] = instances ? ordered_json(instances->size()) : ordered_json();
  auto& labels = made["labels"] = ordered_json::array();
  for (std::size_t at = 0; fans_out && instances && at < instances->size(); ++at) {
    labels.push_back((*instances)[at].label);
  }
  made["run_on"] = actors::to_string(task.run_on);
  made["when"] = task.when;
  return made;
}

}  // namespace

ordered_json outline_of(const actors::pipeline_definition& definition,
                        const actors::bound_params& params) {
  auto tasks = ordered_json::array();
  const auto scope = scope_before(definition, params);
  for (const auto& each : definition.tasks) {
    tasks.push_back(task_json(each, scope));
  }
  return tasks;
}

std::string outline_line(const ordered_json& outlined, const actors::task_definition& task) {
  constexpr std::size_t labels_shown = 3;
  auto text = outlined.at("name").get<std::string>();
  if (task.ranks > 0) {
    text += fmt::format("  a gang of {} ranks", task.ranks);
  } else if (task.for_each || task.matrix) {
    const auto& count = outlined.at("instances");
    text += count.is_null() ? " [as many as are found at run time]"
                            : fmt::format(" [{}]", count.dump());
    const auto& labels = outlined.at("labels");
    for (std::size_t at = 0; at < std::min(labels.size(), labels_shown); ++at) {
      text += (at == 0 ? "  " : "; ") + labels[at].get<std::string>();
    }
    text += labels.size() > labels_shown ? "; ..." : "";
  }
  if (task.hook) {
    text += "  follows " + (task.hook->of.empty() ? std::string{"the run"} : task.hook->of);
  }
  if (!task.needs.empty()) {
    text += "  needs " + fmt::format("{}", fmt::join(task.needs, ", "));
  }
  if (task.run_on != actors::trigger_rule::success) {
    text += fmt::format("  run_on {}", actors::to_string(task.run_on));
  }
  return text + (task.when.empty() ? "" : "  when " + task.when) +
         (task.approval.empty() ? "" : "  waits for a person") +
         (task.callback ? "  waits for a callback" : "") +
         (task.pipeline.empty() ? "" : "  runs pipeline " + task.pipeline);
}

}  // namespace millrace::gateway::cli
