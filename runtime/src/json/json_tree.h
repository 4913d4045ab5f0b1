// SPDX-License-Identifier: MIT
// JSON texts as trees. What is read comes from anyone, so nesting and repeated keys are refused as
// they are met, before a tree of them is there.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// Errors: as `check_json`.
[[nodiscard]] result<nlohmann::json> read_json(std::string_view text);

/// A key as a part of a JSON pointer (RFC 6901).
[[nodiscard]] std::string pointer_part(std::string_view key);

}  // namespace millrace::runtime
