// SPDX-License-Identifier: MIT
// Silos that may have copies, for tests of where these are placed.
#pragma once

#include <string>
#include <vector>

#include "cluster/placement.h"

namespace millrace::testing {

/// They name no zone.
inline std::vector<runtime::candidate> plain(const std::vector<std::string>& silos) {
  std::vector<runtime::candidate> all;
  all.reserve(silos.size());
  for (const auto& each : silos) {
    all.push_back({each, {}});
  }
  return all;
}

}  // namespace millrace::testing
