// SPDX-License-Identifier: MIT
// Durations as people write them: `250ms`, `90s`, `5m`, `1h30m`, `2d`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// The longest duration that a definition may name: ten years of 365 days. Far below the 292 years
/// that 64 bits of nanoseconds hold, so that sums of a few durations never overflow.
inline constexpr runtime::duration duration_max = std::chrono::hours{24 * 365 * 10};

/// A parsed duration, or what is wrong with the text.
struct duration_parse {
  std::optional<runtime::duration> length;
  std::string text;  ///< What is wrong; empty on success.
  std::string hint;  ///< The remedy, such as "write `90s`"; empty when there is none.
};

/// Reads whole numbers with the units `d h m s ms`, each at most once, the largest first, without
/// spaces; or a plain `0`. A number without a unit is refused with the unit in the hint.
[[nodiscard]] duration_parse parse_duration(std::string_view text);

/// The shortest text that `parse_duration` reads back, with `h` as the largest unit: `1h30m`, `0`.
/// Fractions of a millisecond are cut off. Requires: length >= 0.
[[nodiscard]] std::string format_duration(runtime::duration length);

}  // namespace millrace::actors
