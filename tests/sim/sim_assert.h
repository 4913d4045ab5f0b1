// SPDX-License-Identifier: MIT
// Included before everything else in the simulator and its build of the core: an assertion that
// fails ends the simulated cluster, not the simulator.
#pragma once

#include <stdexcept>
#include <string>

#include "millrace/runtime/assert.h"

namespace millrace::sim {

/// A promise was broken.
struct violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace millrace::sim

#undef MILLRACE_ASSERT
#define MILLRACE_ASSERT(expression) \
  (static_cast<bool>(expression)    \
       ? static_cast<void>(0)       \
       : throw ::millrace::sim::violation("the core stopped itself: " #expression))
