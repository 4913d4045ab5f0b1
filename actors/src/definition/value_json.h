// SPDX-License-Identifier: MIT
// Values to and from nlohmann's JSON, which stays out of public headers.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/value.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

[[nodiscard]] nlohmann::ordered_json to_json_value(const value& content);

/// Lists of values, and the rows of a matrix by axis.
[[nodiscard]] nlohmann::ordered_json to_json_list(const std::vector<value>& values);
[[nodiscard]] nlohmann::ordered_json to_json_list(
    const std::vector<std::map<std::string, value>>& rows);

/// The deepest nesting of lists and objects that is read: what handles JSON calls itself for each
/// level.
inline constexpr std::size_t json_depth_max = 64;

/// Errors: `invalid_argument` when the text is no JSON, nests deeper than json_depth_max, or gives
/// a key twice; the text goes on after a noun, as in `it is no JSON`.
[[nodiscard]] runtime::result<nlohmann::ordered_json> parse_json(std::string_view text);

/// The list of a fan-out: a list as it is; of a text the values of a JSON array, or its lines but
/// for blank ones. Errors: `invalid_argument`; the text goes on after the name of the value.
[[nodiscard]] runtime::result<value::list> fan_list_of(value content);

/// The first integer of a JSON text that does not fit into 64 bits, cut to what a message shows;
/// empty: each does.
[[nodiscard]] std::string rounded_integer_in(std::string_view json);

/// An integer beyond 64 bits becomes a float.
[[nodiscard]] value from_json_value(const nlohmann::ordered_json& json);

/// Compact text; bytes that are not UTF-8 (from a task's output) become U+FFFD.
[[nodiscard]] std::string to_json_text(const nlohmann::ordered_json& json);

}  // namespace millrace::actors
