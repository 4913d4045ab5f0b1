// SPDX-License-Identifier: MIT
#include "millrace/runtime/histogram.h"

#include <algorithm>
#include <numeric>

namespace millrace::runtime {

std::uint64_t histogram::count() const noexcept {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

duration histogram::quantile(double part) const noexcept {
  const auto wanted = std::clamp(part, 0.0, 1.0) * static_cast<double>(count());
  double below = 0;
  for (std::size_t at = 0; at < histogram_bounds_ns.size(); ++at) {
    const auto here = static_cast<double>(counts[at]);
    if (here > 0 && below + here >= wanted) {
      const auto low = at == 0 ? 0.0 : static_cast<double>(histogram_bounds_ns[at - 1]);
      const auto high = static_cast<double>(histogram_bounds_ns[at]);
      return duration{static_cast<std::int64_t>(low + (high - low) * (wanted - below) / here)};
    }
    below += here;
  }
  return duration{counts.back() > 0 ? histogram_bounds_ns.back() : 0};
}

}  // namespace millrace::runtime
