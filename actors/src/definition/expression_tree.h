// SPDX-License-Identifier: MIT
// The tree of a parsed expression; private to the definition module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/expression.h"
#include "millrace/actors/text_pattern.h"

namespace millrace::actors {

enum class operation : std::uint8_t {
  literal,
  reference,
  negation,
  both,
  either,
  equal,
  unequal,
  less,
  less_equal,
  greater,
  greater_equal,
  call,
};

enum class reference_kind : std::uint8_t {
  param,
  matrix,
  item,
  output,
  status,
  exit_code,
  artifact,
  callback,
  run,
  trigger,
};

enum class function_name : std::uint8_t {
  contains,
  starts_with,
  ends_with,
  length,
  to_int,
  to_float,
  to_string,
  split,
  join,
  range,
  zip,
  matches,
  extract,
  from_json,
  success,
  failure,
  always,
};

struct expression_node {
  operation what = operation::literal;
  std::size_t offset = 0;  ///< First byte of the node in the expression's text.
  value literal;
  reference_kind refers_to = reference_kind::param;
  std::string name;               ///< Of the parameter, axis, task, or field of `run` or `trigger`.
  std::string key;                ///< Of the output or artifact, or in the parameter's map.
  std::vector<std::string> path;  ///< Below `item`, an axis, the field of `trigger`, or `json()`.
  bool has_key = false;           ///< Of a parameter.
  std::size_t name_offset = 0;    ///< Where the name stands, for diagnostics.
  std::size_t key_offset = 0;
  function_name function = function_name::always;
  std::vector<std::shared_ptr<const expression_node>> operands;
  std::vector<std::string> operand_names;  ///< Of `zip`, as many as operands.
  std::optional<text_pattern> pattern;     ///< Of `matches` and `extract`.
};

/// Calls `visit` with every node below and including `root`.
template <class Visit>
void walk(const expression_node& root, const Visit& visit) {
  visit(root);
  for (const auto& each : root.operands) {
    walk(*each, visit);
  }
}

/// The operator as written: `<=`.
[[nodiscard]] std::string_view symbol_of(operation what) noexcept;

/// The function as written: `starts_with`.
[[nodiscard]] std::string_view name_of(function_name function) noexcept;

/// The end states of a task, as `tasks.NAME.status` gives them.
[[nodiscard]] const std::vector<std::string_view>& task_statuses();

}  // namespace millrace::actors
