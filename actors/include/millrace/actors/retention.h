// SPDX-License-Identifier: MIT
// Retention: how long the runs of a pipeline are kept after their end.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// A limit that is absent keeps all. Runs past one are deleted in the background, the longest ended
/// first, `removed_at_once` at a time and at most that many each `removal_interval`.
struct run_retention {
  std::optional<std::uint32_t> runs;     ///< That have ended, of one pipeline; 1 to runs_max.
  std::optional<runtime::duration> age;  ///< Since their end.

  static constexpr std::uint32_t runs_max = 1'000'000'000;

  /// What is kept of each pipeline unless somebody says otherwise.
  [[nodiscard]] static run_retention standard() { return {10'000, std::chrono::hours{24 * 90}}; }
  /// The limits of this one, and those of `other` where it has none.
  [[nodiscard]] run_retention or_else(const run_retention& other) const {
    return {runs ? runs : other.runs, age ? age : other.age};
  }

  static constexpr std::size_t removed_at_once = 64;
  static constexpr runtime::duration removal_interval = std::chrono::milliseconds{100};

  friend bool operator==(const run_retention&, const run_retention&) = default;
};

}  // namespace millrace::actors
