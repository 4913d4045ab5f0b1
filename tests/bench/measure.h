// SPDX-License-Identifier: MIT
// What the benchmarks share that measure anything: the clock, medians, an end when something fails.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "millrace/runtime/clock.h"

namespace millrace::bench {

inline constexpr int rounds = 5;

inline double now() {
  static const runtime::system_clock clock;
  return static_cast<double>(clock.steady().time_since_epoch().count()) * 1e-9;
}

inline void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "benchmark: %s\n", what);
    std::exit(1);
  }
}

inline double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

}  // namespace millrace::bench
