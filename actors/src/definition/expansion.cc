// SPDX-License-Identifier: MIT
#include "millrace/actors/expansion.h"

#include <algorithm>

#include "definition/fill_values.h"
#include "definition/message_text.h"
#include "definition/value_json.h"
#include "millrace/actors/name_rule.h"
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

result<std::vector<value>> values_of(const fan_values& written, const expression_scope& scope) {
  if (const auto* text = std::get_if<std::string>(&written)) {
    auto found = fill_value(*text, scope);
    if (!found) {
      return std::move(found).error();
    }
    auto list = fan_list_of(*std::move(found));
    return list ? std::move(list)
                : error{list.error().code(), "the value of `" + *text + "` " + list.error().text()};
  }
  std::vector<value> made;
  for (const auto& each : std::get<std::vector<value>>(written)) {
    auto filled = fill_in(each, scope);
    if (!filled) {
      return std::move(filled).error();
    }
    made.push_back(*std::move(filled));
  }
  return made;
}

// `host=a, port=1` of a record, and the text of anything else.
std::string label_of(const value& item) {
  std::string label;
  if (const auto* fields = item.entries()) {
    for (const auto& [name, content] : *fields) {
      label += (label.empty() ? "" : ", ") + name + "=" + to_text(content);
      if (label.size() > instance_label_bytes_max) {
        break;
      }
    }
  } else {
    label = to_text(item);
  }
  return one_line(label, instance_label_bytes_max);
}

// What two fields of a record would both be; empty: nothing.
std::string twin_fields(const value& item) {
  std::map<std::string, std::string> twins;
  if (const auto* fields = item.entries()) {
    for (const auto& [name, content] : *fields) {
      if (!fits(name, name_rule::field)) {
        continue;  // it has no variable
      }
      const auto [twin, fresh] = twins.try_emplace(item_field_variable(name), name);
      if (!fresh) {
        return "`" + name + "` and `" + twin->second + "` would both be `$" + twin->first + "`";
      }
    }
  }
  return {};
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
    std::vector<task_instance> ranks(std::max<std::uint32_t>(task.ranks, 1));
    for (std::uint32_t rank = 0; rank < ranks.size(); ++rank) {
      ranks[rank].index = rank;
    }
    return ranks;
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
    if (const auto twins = twin_fields((*values)[index]); !twins.empty()) {
      return error{errc::invalid_argument,
                   "the item " + std::to_string(index) + " of `for_each`: " + twins};
    }
    made[index].label = label_of((*values)[index]);
    made[index].item = std::move((*values)[index]);
  }
  return made;
}

std::string display_name(const task_definition& task, const task_instance& instance) {
  return fans_out(task) ? task.name + "[" + std::to_string(instance.index) + "]" : task.name;
}

std::map<std::string, std::string> environment_of(const task_instance& instance) {
  std::map<std::string, std::string> environment;
  if (instance.item) {
    environment[std::string{item_variable}] = to_text(*instance.item);
    const auto* fields = instance.item->entries();
    for (const auto& [name, content] : fields != nullptr ? *fields : value::map{}) {
      if (fits(name, name_rule::field) && !content.is_null()) {
        environment[item_field_variable(name)] = to_text(content);
      }
    }
  }
  for (const auto& [axis, cell] : instance.matrix) {
    environment[matrix_variable(axis)] = to_text(cell);
  }
  return environment;
}

}  // namespace millrace::actors
