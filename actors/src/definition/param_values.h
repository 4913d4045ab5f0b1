// SPDX-License-Identifier: MIT
// What fits a parameter: the same for a default, a value given as text and one given as JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "millrace/actors/definition.h"
#include "millrace/actors/value.h"

namespace millrace::actors {

/// A value, or what is wrong with what was given.
struct param_reading {
  std::optional<value> content;
  std::string place;  ///< JSON pointer below the parameter: `/1`, or nothing.
  std::string text;   ///< Goes on after the parameter's name: `must be of type ...`.
  std::string hint;
};

/// Fits a value to the type: an integer becomes a float where one is wanted, the elements of lists
/// and maps are strings, numbers or booleans.
[[nodiscard]] param_reading read_param_value(const param_definition& param, value given);

/// Reads a text as the type says.
[[nodiscard]] param_reading read_param_text(const param_definition& param, const std::string& text);

/// What is wrong with a value of the right type: too long, a NUL character, not in `enum`.
[[nodiscard]] param_reading check_param_value(const param_definition& param, value content);

}  // namespace millrace::actors
