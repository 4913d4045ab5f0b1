// SPDX-License-Identifier: MIT
// Values to and from nlohmann's JSON, which stays out of public headers.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "millrace/actors/value.h"

namespace millrace::actors {

[[nodiscard]] nlohmann::ordered_json to_json_value(const value& content);

/// An object has no value of its own in the language: it becomes its compact JSON text. An
/// integer beyond 64 bits becomes a float.
[[nodiscard]] value from_json_value(const nlohmann::ordered_json& json);

/// Compact text; bytes that are not UTF-8 (from a task's output) become U+FFFD.
[[nodiscard]] std::string to_json_text(const nlohmann::ordered_json& json);

}  // namespace millrace::actors
