// SPDX-License-Identifier: MIT
// The mistakes of a definition, as answers and commands tell them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/json_shape.h"
#include "http/problem.h"
#include "millrace/actors/diagnostic.h"

namespace millrace::gateway {

/// The entries of a problem document.
[[nodiscard]] std::vector<http::problem_entry> entries_of(
    const std::vector<actors::diagnostic>& mistakes);

/// `{valid: false, errors}`, of entries as a problem document has them, each with its `file` if it
/// has one.
[[nodiscard]] nlohmann::ordered_json mistakes_json(const std::vector<actors::diagnostic>& mistakes);
/// Of these `errors`, without `file`.
[[nodiscard]] json_shape mistakes_shape();

}  // namespace millrace::gateway
