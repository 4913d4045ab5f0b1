// SPDX-License-Identifier: MIT
// Priorities: which of two attempts that wait is served first. Numbers, and names for a few.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::actors {

inline constexpr std::uint32_t priority_max = 1'000'000'000;

/// A number by name.
struct priority_class {
  std::string_view name;
  std::uint32_t priority;
};

/// The lowest first. `normal` is what everything has that says nothing else.
inline constexpr std::array<priority_class, 5> priority_classes{
    {{"idle", 0}, {"low", 10}, {"normal", 50}, {"high", 100}, {"critical", 1'000'000}}};
inline constexpr std::uint32_t priority_default = priority_classes[2].priority;

/// What people are told to write.
inline constexpr std::string_view priority_hint =
    "write a number from 0 to 1000000000, or idle, low, normal, high or critical";

/// The number that a text is or names; nothing if it does neither.
[[nodiscard]] std::optional<std::uint32_t> parse_priority(std::string_view text);

}  // namespace millrace::actors
