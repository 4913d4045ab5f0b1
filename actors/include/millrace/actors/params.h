// SPDX-License-Identifier: MIT
// Binding: the values that a run gives to the parameters of its pipeline.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/definition.h"
#include "millrace/actors/diagnostic.h"
#include "millrace/actors/value.h"

namespace millrace::actors {

/// Every parameter of the pipeline with its value; null for an optional one that was not given.
struct bound_params {
  std::map<std::string, value, std::less<>> values;
  std::vector<diagnostic> diagnostics;  ///< When not empty, `values` must not be used.

  explicit operator bool() const noexcept { return diagnostics.empty(); }
};

/// Binds texts, as from `-p day=2026-01-31`; each is read as its parameter's type: a string is what
/// was written, a number is decimal without leading zeros (`007` is none), a list or map is JSON.
///
/// Every mistake is reported, with pointer `/params/NAME` and no line: unknown names (with a
/// suggestion), missing ones, wrong types, values outside `enum`.
[[nodiscard]] bound_params bind_params(const pipeline_definition& definition,
                                       const std::map<std::string, std::string>& given);

/// Binds a JSON object; the JSON types must fit (an integer also fits a float). `null` is the same
/// as nothing given. Mistakes inside a list or map have the pointer of the element.
[[nodiscard]] bound_params bind_params_json(const pipeline_definition& definition,
                                            std::string_view json_object);

/// The values as the JSON object that binds to them again.
[[nodiscard]] std::string to_json(const bound_params& params);

/// `MILLRACE_PARAM_DAY` for `day`; `MILLRACE_MATRIX_OS` for an axis.
[[nodiscard]] std::string param_variable(std::string_view name);
[[nodiscard]] std::string matrix_variable(std::string_view axis);
inline constexpr std::string_view item_variable = "MILLRACE_ITEM";
/// `MILLRACE_ITEM_HOST` for the field `host` of an item that is a record.
[[nodiscard]] std::string item_field_variable(std::string_view field);

/// The environment that bound parameters give to every command; a null value gives no variable.
[[nodiscard]] std::map<std::string, std::string> environment_of(const bound_params& params);

}  // namespace millrace::actors
