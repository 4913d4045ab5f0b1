// SPDX-License-Identifier: MIT
#include "millrace/actors/expansion.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "definition/message_text.h"
#include "definition/value_json.h"
#include "millrace/actors/params.h"

namespace millrace::actors {

namespace {

using runtime::errc;
using runtime::error;
using runtime::result;

error too_many() {
  return {errc::too_large,
          "a fan-out has at most " + std::to_string(task_instances_max) + " instances"};
}

// A text that stands for a list: a JSON array, or lines.
result<std::vector<value>> list_in(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[') {
    const auto json = parse_json(text);
    if (!json || !json->is_array()) {
      return error{errc::invalid_argument, "a text that starts with `[` is no JSON array" +
                                               (json ? "" : ": " + json.error().text())};
    }
    std::vector<value> values;
    for (const auto& each : *json) {
      // As it was written: the order of its keys is the task's affair.
      values.push_back(each.is_object() ? make_value(to_json_text(each)) : from_json_value(each));
    }
    return values;
  }
  std::vector<value> lines;
  std::size_t from = 0;
  while (from < text.size()) {
    const auto end = std::min(text.find('\n', from), text.size());
    if (end > from) {
      lines.push_back(make_value(text.substr(from, end - from)));
    }
    from = end + 1;
  }
  return lines;
}

result<std::vector<value>> values_of(const fan_values& written, const expression_scope& scope) {
  if (const auto* text = std::get_if<std::string>(&written)) {
    auto found = fill_value(*text, scope);
    if (!found) {
      return std::move(found).error();
    }
    if (auto* list = std::get_if<value::list>(&found->content)) {
      return std::move(*list);
    }
    if (const auto* lines = found->text()) {
      return list_in(*lines);
    }
    return error{errc::invalid_argument, "the value of `" + *text + "` is of type `" +
                                             std::string{to_string(found->type())} +
                                             "`, not a list"};
  }
  std::vector<value> made;
  for (const auto& each : std::get<std::vector<value>>(written)) {
    const auto* text = each.text();
    if (text == nullptr || !has_expression(*text)) {
      made.push_back(each);
      continue;
    }
    auto filled = fill_value(*text, scope);
    if (!filled) {
      return std::move(filled).error();
    }
    made.push_back(*std::move(filled));
  }
  return made;
}

bool agrees(const std::vector<std::pair<std::string, value>>& cells, const matrix_cells& rule) {
  return std::all_of(rule.begin(), rule.end(), [&](const auto& wanted) {
    return std::any_of(cells.begin(), cells.end(), [&](const auto& cell) {
      return cell.first == wanted.first && cell.second == wanted.second;
    });
  });
}

void add_combination(std::vector<task_instance>& into,
                     std::vector<std::pair<std::string, value>> cells) {
  task_instance made;
  made.index = static_cast<std::uint32_t>(into.size());
  for (const auto& [axis, cell] : cells) {
    made.label += (made.label.empty() ? "" : ", ") + axis + "=" + to_text(cell);
  }
  made.label = one_line(made.label, instance_label_bytes_max);
  made.matrix = std::move(cells);
  into.push_back(std::move(made));
}

result<std::vector<task_instance>> expand_matrix(const matrix_definition& matrix,
                                                 const expression_scope& scope) {
  std::vector<std::vector<value>> axes;
  std::size_t total = 1;
  for (const auto& axis : matrix.axes) {
    auto values = values_of(axis.values, scope);
    if (!values) {
      return std::move(values).error();
    }
    total *= values->size();
    if (total > task_instances_max) {
      return too_many();
    }
    axes.push_back(*std::move(values));
  }
  std::vector<task_instance> made;
  for (std::size_t number = 0; number < total; ++number) {
    std::vector<std::pair<std::string, value>> cells(axes.size());
    auto rest = number;
    for (auto at = axes.size(); at-- > 0;) {  // the last axis varies fastest
      cells[at] = {matrix.axes[at].name, axes[at][rest % axes[at].size()]};
      rest /= axes[at].size();
    }
    const auto excluded = std::any_of(matrix.exclude.begin(), matrix.exclude.end(),
                                      [&](const auto& rule) { return agrees(cells, rule); });
    if (!excluded) {
      add_combination(made, std::move(cells));
    }
  }
  for (const auto& row : matrix.include) {
    std::vector<std::pair<std::string, value>> cells;
    for (const auto& axis : matrix.axes) {
      cells.emplace_back(axis.name, row.at(axis.name));
    }
    add_combination(made, std::move(cells));
  }
  if (made.size() > task_instances_max) {
    return too_many();
  }
  return made;
}

}  // namespace

result<std::vector<task_instance>> expand(const task_definition& task,
                                          const expression_scope& scope) {
  if (task.matrix) {
    return expand_matrix(*task.matrix, scope);
  }
  if (!task.for_each) {
    return std::vector<task_instance>(1);
  }
  auto values = values_of(*task.for_each, scope);
  if (!values) {
    return std::move(values).error();
  }
  if (values->size() > task_instances_max) {
    return too_many();
  }
  std::vector<task_instance> made(values->size());
  for (std::uint32_t index = 0; index < made.size(); ++index) {
    made[index].index = index;
    made[index].label = one_line(to_text((*values)[index]), instance_label_bytes_max);
    made[index].item = std::move((*values)[index]);
  }
  return made;
}

std::string display_name(const task_definition& task, const task_instance& instance) {
  return task.for_each || task.matrix ? task.name + "[" + std::to_string(instance.index) + "]"
                                      : task.name;
}

std::map<std::string, std::string> environment_of(const task_instance& instance) {
  std::map<std::string, std::string> environment;
  if (instance.item) {
    environment[std::string{item_variable}] = to_text(*instance.item);
  }
  for (const auto& [axis, cell] : instance.matrix) {
    environment[matrix_variable(axis)] = to_text(cell);
  }
  return environment;
}

}  // namespace millrace::actors
