// SPDX-License-Identifier: MIT
// Inputs of commands, large outputs among them, and which outputs the run reads itself.
#include <algorithm>

#include "definition/expression_tree.h"
#include "definition/fill_values.h"
#include "run/run_graph.h"
#include "run/run_scope.h"

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

void run_graph::keep_large(instance_id id, kept_output_list left) {
  if (left.empty()) {
    large_.erase(id);
  } else {
    large_[id] = std::move(left);
  }
}

// --- what the run reads --------------------------------------------------------------------------

void run_graph::note_outputs_in(const std::string& text) {
  if (text.find("outputs") == std::string::npos) {
    return;
  }
  for (const auto& piece : parse_template(text).pieces) {
    if (!piece.formula) {
      continue;
    }
    walk(piece.formula->root(), [&](const expression_node& node) {
      const auto at = node.what == operation::reference && node.refers_to == reference_kind::output
                          ? find(node.name)
                          : std::nullopt;
      if (at && !fans_out(*at)) {
        read_outputs_[*at].push_back(node.key);
      }
    });
  }
}

void run_graph::note_outputs_in(const value& content) {
  if (const auto* text = content.text()) {
    note_outputs_in(*text);
  } else if (const auto* items = content.items()) {
    for (const auto& each : *items) {
      note_outputs_in(each);
    }
  } else if (const auto* entries = content.entries()) {
    for (const auto& each : *entries) {
      note_outputs_in(each.second);
    }
  }
}

void run_graph::find_read_outputs() {
  read_outputs_.resize(nodes_.size());
  const auto note_values = [this](const fan_values& values) {
    if (const auto* text = std::get_if<std::string>(&values)) {
      note_outputs_in(*text);
      return;
    }
    for (const auto& each : std::get<std::vector<value>>(values)) {
      note_outputs_in(each);
    }
  };
  for (const auto& task : definition_.tasks) {
    note_outputs_in(task.when);
    if (task.for_each) {
      note_values(*task.for_each);
    }
    for (const auto& axis : task.matrix ? task.matrix->axes : std::vector<matrix_axis>{}) {
      note_values(axis.values);
    }
  }
  for (const auto& each : definition_.outputs) {
    note_outputs_in(each.second);
  }
  for (auto& names : read_outputs_) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }
}

// --- inputs --------------------------------------------------------------------------------------

// Writes what `to_json` would of the values filled in, and keeps places for large outputs.
class run_graph::inputs_writer {
public:
  inputs_writer(const run_graph& graph, const scope& names) : graph_(graph), names_(names) {}

  result<void> add(const value& content) {
    if (const auto* text = content.text()) {
      return add_text(*text);
    }
    if (const auto* items = content.items()) {
      auto separator = '[';
      for (const auto& each : *items) {
        made.json += std::exchange(separator, ',');
        if (auto added = add(each); !added) {
          return added;
        }
      }
      made.json += separator == '[' ? "[]" : "]";
      return {};
    }
    if (const auto* entries = content.entries()) {
      auto separator = '{';
      for (const auto& [name, each] : *entries) {
        made.json += std::exchange(separator, ',');
        made.json += to_json(make_value(name)) + ':';
        if (auto added = add(each); !added) {
          return added;
        }
      }
      made.json += separator == '{' ? "{}" : "}";
      return {};
    }
    made.json += to_json(content);
    return {};
  }

  filled_inputs made;

private:
  result<void> add_text(const std::string& text) {
    const auto parsed =
        text.find("${{") != std::string::npos ? parse_template(text) : template_parse{};
    if (parsed.pieces.size() == 1 && parsed.pieces[0].formula) {
      const auto& root = parsed.pieces[0].formula->root();
      const auto is_output =
          root.what == operation::reference && root.refers_to == reference_kind::output;
      const auto found = is_output ? graph_.by_name_.find(root.name) : graph_.by_name_.end();
      if (found != graph_.by_name_.end() && has_large(found->second, root.key)) {
        return add_outputs(found->second, root.key);
      }
    }
    const auto filled = fill_in(make_value(text), names_);
    if (!filled) {
      return filled.error();
    }
    made.json += to_json(*filled);
    return {};
  }

  [[nodiscard]] bool has_large(std::uint32_t task, const std::string& key) const {
    const auto read = names_.read_of(task);
    return std::any_of(read.begin(), read.end(),
                       [&](auto id) { return names_.large_of(id, key) != nullptr; });
  }

  result<void> add_outputs(std::uint32_t task, const std::string& key) {
    const auto read = names_.read_of(task);
    const auto as_list = names_.reads_list(task);
    made.json += as_list ? "[" : "";
    for (std::size_t index = 0; index < read.size(); ++index) {
      made.json += index > 0 ? "," : "";
      if (const auto* large = names_.large_of(read[index], key)) {
        made.texts.push_back({made.json.size(), *large, graph_.name_of(read[index])});
        continue;
      }
      const auto small = names_.output_of(read[index], key);
      if (!small) {
        return error{errc::failed_precondition, "'" + graph_.name_of(read[index]) +
                                                    "' has succeeded and wrote no output `" + key +
                                                    "`; write it, or declare it with a `default`"};
      }
      made.json += to_json(*small);
    }
    made.json += as_list ? "]" : "";
    return {};
  }

  const run_graph& graph_;
  const scope& names_;
};

result<filled_inputs> run_graph::inputs(instance_id id) const {
  const auto& task = definition_.tasks[id.task];
  if (task.inputs.empty()) {
    return filled_inputs{};
  }
  const auto& one = instance(id);
  const scope names{*this, id.task, &one};
  inputs_writer writer{*this, names};
  auto separator = '{';
  for (const auto& [name, content] : task.inputs) {
    writer.made.json += std::exchange(separator, ',');
    writer.made.json += to_json(make_value(name)) + ':';
    if (auto added = writer.add(content); !added) {
      return error{added.error().code(), "inputs " + name + ": " + added.error().text()};
    }
  }
  auto made = std::move(writer.made);
  made.json += '}';
  if (made.json.size() > task_inputs_bytes_max) {
    return error{errc::too_large, "inputs: they have " + std::to_string(made.json.size()) +
                                      " bytes as JSON, and may have " +
                                      std::to_string(task_inputs_bytes_max) +
                                      "; write them to a file in the workspace"};
  }
  std::uint64_t bytes = 0;
  for (const auto& each : made.texts) {
    bytes += each.output.size;
  }
  if (bytes > task_large_inputs_bytes_max || made.texts.size() > task_large_inputs_max) {
    return error{errc::too_large, "inputs: they have " + std::to_string(made.texts.size()) +
                                      " large outputs with " + std::to_string(bytes) +
                                      " bytes, and may have " +
                                      std::to_string(task_large_inputs_max) + " with " +
                                      std::to_string(task_large_inputs_bytes_max) +
                                      "; leave them in files, and name these in `artifacts`"};
  }
  return made;
}

}  // namespace millrace::actors
