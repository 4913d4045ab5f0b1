// SPDX-License-Identifier: MIT
#include "definition/compiled_format.h"

#include <algorithm>

#include "definition/expression_tree.h"
#include "millrace/actors/expression.h"

namespace millrace::actors {
namespace {

bool has_record(const value& content) {
  const auto* items = content.items();
  return items != nullptr && std::any_of(items->begin(), items->end(), [](const value& each) {
           return each.entries() != nullptr;
         });
}

// Reads a definition to its end, and raises the format where it finds what came with one.
class format_reader {
public:
  void read(const pipeline_definition& definition) {
    raise(2, !definition.secrets.empty());
    raise(3, definition.fail_fast || definition.concurrency || !definition.outputs.empty());
    raise(5, !definition.webhooks.empty());
    raise(8, !definition.watches.empty());
    raise(9, !definition.pool.empty());
    read(definition.env);
    read(definition.outputs);
    if (definition.concurrency) {
      read(definition.concurrency->group);
    }
    for (const auto& each : definition.params) {
      raise(6, each.fallback && has_record(*each.fallback));
    }
    for (const auto& each : definition.triggers) {
      read(each.params);
      read(each.once_for);
    }
    for (const auto& each : definition.webhooks) {
      read(each.when);
      read(each.params);
      read(each.once_for);
    }
    for (const auto& each : definition.watches) {
      read(each.params);
    }
    for (const auto& each : definition.tasks) {
      read_texts(each);
      read_keys(each);
    }
  }

  [[nodiscard]] std::uint32_t format() const { return format_; }

private:
  void raise(std::uint32_t format, bool is_wanted) {
    format_ = is_wanted ? std::max(format_, format) : format_;
  }

  void read_keys(const task_definition& task) {
    const auto has_default = [](const auto& each) { return each.fallback.has_value(); };
    raise(2, task.allow_failures != failure_allowance{} || !task.secrets.empty() ||
                 !task.shell.empty() || !task.workdir.empty() || !task.inputs.empty() ||
                 !task.retry.on_exit.empty() || !task.retry.not_on_exit.empty() ||
                 std::any_of(task.outputs.begin(), task.outputs.end(), has_default));
    raise(3, task.hook.has_value() || task.run_on == trigger_rule::no_failure);
    raise(4, !task.resources.empty() || !task.mutexes.empty() || !task.semaphores.empty());
    raise(5, task.callback || task.start_timeout || task.heartbeat || task.retry_command ||
                 !task.success_exit_codes.empty() || !task.stdout_output.empty() ||
                 (task.timeout && std::holds_alternative<std::string>(*task.timeout)));
    raise(6, task.preemptible || !task.artifacts.empty() || !task.artifact_needs.empty());
    raise(7, task.cache || task.ranks > 0);
    raise(8, task.memory_limit > 0);
    raise(9, !task.pool.empty());
    raise(10, task.actor || !task.labels.empty());
  }

  void read_texts(const task_definition& task) {
    read(task.when);
    read(task.command);
    read(task.env);
    read(task.inputs);
    read(task.params);
    read(task.workdir);
    read(task.approval);
    read(task.actor ? task.actor->key : "");
    read(task.callback.value_or(""));
    read(task.timeout);
    read(task.start_timeout);
    read(task.heartbeat);
    read(task.mutexes);
    if (task.for_each) {
      read(*task.for_each);
    }
    if (task.matrix) {
      for (const auto& axis : task.matrix->axes) {
        read(axis.values);
      }
    }
    if (task.cache) {
      read(task.cache->key);
    }
    if (task.retry_command) {
      read(task.retry_command->command);
    }
    for (const auto& each : task.semaphores) {
      read(each.name);
    }
    for (const auto& each : task.artifacts) {
      read(each.paths);
    }
  }

  void read(const std::string& text) {
    if (text.find("${{") == std::string::npos) {
      return;
    }
    for (const auto& piece : parse_template(text).pieces) {
      if (piece.formula) {
        walk(piece.formula->root(), [this](const expression_node& node) { read(node); });
      }
    }
  }

  void read(const expression_node& node) {
    const auto is_call = node.what == operation::call;
    raise(6, node.pattern || !node.operand_names.empty() ||
                 (!is_call && !node.path.empty() && node.refers_to != reference_kind::trigger));
    raise(8, is_call && node.function == function_name::from_json);
  }

  void read(const value& content) {
    if (const auto* text = content.text()) {
      read(*text);
    } else if (const auto* items = content.items()) {
      read(*items);
    } else if (const auto* entries = content.entries()) {
      read(*entries);
    }
  }

  void read(const fan_values& values) {
    if (const auto* text = std::get_if<std::string>(&values)) {
      read(*text);
      return;
    }
    const auto listed = make_value(std::get<value::list>(values));
    raise(6, has_record(listed));
    read(listed);
  }

  void read(const std::optional<time_limit>& limit) {
    if (const auto* text = limit ? std::get_if<std::string>(&*limit) : nullptr) {
      read(*text);
    }
  }

  template <class Values, class Order>
  void read(const std::map<std::string, Values, Order>& map) {
    for (const auto& [name, each] : map) {
      read(each);
    }
  }

  template <class Values>
  void read(const std::vector<Values>& list) {
    for (const auto& each : list) {
      read(each);
    }
  }

  std::uint32_t format_ = 1;
};

}  // namespace

std::uint32_t format_of(const pipeline_definition& definition) {
  format_reader reader;
  reader.read(definition);
  return reader.format();
}

}  // namespace millrace::actors
