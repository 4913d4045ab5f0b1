// SPDX-License-Identifier: MIT
// Reading a definition in two passes: its shape, then what its names and expressions refer to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "definition/reader.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/env_file.h"

namespace millrace::actors {

/// Where a text stands, which decides what its expressions may refer to.
enum class text_place : std::uint8_t {
  instance,      ///< A text of each instance of a task: `matrix` and `item` have a value.
  hidden,        ///< One that nobody is shown: `env` and `inputs`.
  fan_out,       ///< A value to fan out over: no instance exists yet.
  fan_list,      ///< The whole list to fan out over.
  group,         ///< A text by which runs are told apart before they begin.
  trigger,       ///< A text about the run of another pipeline.
  webhook,       ///< A text about what has come from outside.
  webhook_when,  ///< A condition on that.
  watch,         ///< A text about a version that a watch has found.
  end,           ///< A text of a whole run that has succeeded.
  when,          ///< A condition: one expression, `true` or `false`.
  limit,         ///< A duration; otherwise as `instance`.
};

/// A text with expressions, to be checked once every name is known.
struct expression_use {
  const yaml_node* node;
  std::string text;
  std::string pointer;
  std::size_t task;  ///< Position in `tasks`; `no_task` for the pipeline's own texts.
  text_place place = text_place::instance;
};
inline constexpr std::size_t no_task = static_cast<std::size_t>(-1);

/// A need, and where it is written.
struct need_use {
  const yaml_node* node;
  std::string pointer;
  std::size_t task;
  bool is_of_element = false;  ///< `instances: same`.
};

/// `artifacts` of a need.
struct artifact_use {
  const yaml_node* node;
  std::string pointer;
  std::size_t task;
  std::string of;  ///< The task that is needed.
};

/// `cache` of a task.
struct cache_use {
  const yaml_node* node;
  std::string pointer;
};

/// Where a task is written.
struct task_place {
  const yaml_node* node;  ///< Its name, or the whole; of a hook its key.
  std::string pointer;    ///< The whole.
};

/// What the first pass leaves for the second.
struct loaded_shape {
  text_file_reader files;  ///< What it may read; empty: no files.
  pipeline_definition definition;
  std::vector<task_place> task_places;
  std::vector<expression_use> expressions;
  std::vector<need_use> needs;
  std::vector<artifact_use> artifact_needs;
  std::vector<cache_use> caches;
};

/// Adds what hooks need, which their place says: they follow the task that they belong to, the last
/// of them is the one for any end, and those of the run come last of all.
void add_hook_edges(const std::vector<task_definition>& tasks,
                    std::vector<std::vector<std::uint32_t>>& needs);

/// First pass. Reports to `in`.
void read_shape(reader& in, const cursor& root, loaded_shape& out);

/// Second pass: names, needs, cycles, expressions. Requires: the shape has tasks.
void check_references(reader& in, const loaded_shape& shape);

/// `load_definition` with another limit on the text.
[[nodiscard]] load_result load_text(std::string_view text, std::string_view file_name,
                                    std::size_t bytes_max, const text_file_reader& files = {});

}  // namespace millrace::actors
