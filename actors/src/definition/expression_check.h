// SPDX-License-Identifier: MIT
// What can be known about an expression before a run: its references and its types.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "millrace/actors/expression.h"

namespace millrace::actors {

/// A type that is known before the run, or nothing.
using known_type = std::optional<value_type>;

/// What `trigger` is in an expression.
enum class trigger_kind : std::uint8_t {
  none,
  run,      ///< The run of another pipeline, which has ended.
  request,  ///< What has come to a webhook.
  version,  ///< What a watch has found.
};

/// The names around an expression. A member that is empty means: not available here.
struct check_scope {
  /// Answers whether the name exists, and its type in `type`; fills `near` with a suggestion.
  using lookup = std::function<bool(std::string_view name, known_type& type, std::string& near)>;
  lookup param;
  lookup matrix;
  std::optional<known_type> item;  ///< What is known of its type.
  lookup item_field;               ///< Empty: nobody knows what fields items have.
  bool needs_functions = false;    ///< success() and failure().
  trigger_kind trigger = trigger_kind::none;
  std::string_view without_run = {};  ///< What to write where `run` is not known; empty: it is.
  bool run_has_ended = false;         ///< Its state, reason and failed tasks.
  /// What is wrong with a reference to output `key` (or, without one, the status) of `task`.
  std::function<std::optional<expression_error>(const expression_node& node, known_type& type)>
      task;
};

/// Reports every mistake to `failures` and returns the type of the whole.
known_type check(const expression& formula, const check_scope& scope,
                 std::vector<expression_error>& failures);

}  // namespace millrace::actors
