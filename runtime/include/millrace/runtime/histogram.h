// SPDX-License-Identifier: MIT
// Histogram: how long something took, how often.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "millrace/runtime/clock.h"

namespace millrace::runtime {

/// The upper bounds of the buckets, in nanoseconds: 1 us, 2 us, 5 us, 10 us and so on to 100 s.
inline constexpr auto histogram_bounds_ns = [] {
  std::array<std::int64_t, 25> bounds{};
  std::int64_t decade = 1'000;
  for (std::size_t at = 0; at < bounds.size(); ++at) {
    constexpr std::int64_t steps[] = {1, 2, 5};
    bounds[at] = decade * steps[at % 3];
    decade *= at % 3 == 2 ? 10 : 1;
  }
  return bounds;
}();

/// Counts by length.
struct histogram {
  /// Of each bucket alone: longer than the bound before, up to its own; the last one has none.
  std::array<std::uint64_t, histogram_bounds_ns.size() + 1> counts{};
  duration sum{};  ///< Of all lengths.

  /// How many there are.
  [[nodiscard]] std::uint64_t count() const noexcept;

  /// The length below which this part of all lie, `part` from 0 to 1, as if each bucket were evenly
  /// filled; zero when there are none, the highest bound for what is longer.
  [[nodiscard]] duration quantile(double part) const noexcept;
};

}  // namespace millrace::runtime
