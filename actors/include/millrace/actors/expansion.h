// SPDX-License-Identifier: MIT
// Expansion: from a task with `matrix`, `for_each` or `ranks` to its instances.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/actors/definition.h"
#include "millrace/actors/expression.h"
#include "millrace/actors/value.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The longest label in bytes; longer ones are cut and end in `...`.
inline constexpr std::size_t instance_label_bytes_max = 80;

/// The fewest and the most ranks of a gang: they are started, and told to their pool, in one step.
inline constexpr std::uint32_t gang_ranks_min = 2;
inline constexpr std::uint32_t gang_ranks_max = 1'000;

/// Whether the task has instances, also where there is only one of them or none.
[[nodiscard]] inline bool fans_out(const task_definition& task) {
  return task.for_each || task.matrix || task.ranks > 0;
}

/// One instance of a task.
struct task_instance {
  std::uint32_t index = 0;    ///< From 0, in the order of the values; of a gang, its rank.
  std::string label;          ///< `python=3.12, os=linux`, or the item; else empty.
  std::optional<value> item;  ///< The element of `for_each`.
  std::vector<std::pair<std::string, value>> matrix;  ///< In axis order.

  friend bool operator==(const task_instance&, const task_instance&) = default;
};

/// The instances of a task: one for a task without fan-out, none for an empty list, the ranks of a
/// gang.
///
/// Pure, and the same for the same scope, so that a run may compute it again after a failover.
/// Errors: `invalid_argument` when an expression fails or its value is no list of values;
/// `too_large` past task_instances_max.
[[nodiscard]] runtime::result<std::vector<task_instance>> expand(const task_definition& task,
                                                                 const expression_scope& scope);

/// `count[3]` for an instance of a task with fan-out, `count` for one without.
[[nodiscard]] std::string display_name(const task_definition& task, const task_instance& instance);

/// MILLRACE_ITEM or MILLRACE_MATRIX_*.
[[nodiscard]] std::map<std::string, std::string> environment_of(const task_instance& instance);

}  // namespace millrace::actors
