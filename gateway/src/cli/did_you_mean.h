// SPDX-License-Identifier: MIT
// What is said to who has mistyped a word.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace millrace::gateway::cli {

/// `did you mean 'x'?` between `before` and `after`; empty where nothing is near.
[[nodiscard]] inline std::string did_you_mean(std::string_view nearest,
                                              std::string_view before = {},
                                              std::string_view after = {}) {
  return nearest.empty() ? std::string{}
                         : fmt::format("{}did you mean '{}'?{}", before, nearest, after);
}

}  // namespace millrace::gateway::cli
