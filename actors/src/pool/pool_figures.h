// SPDX-License-Identifier: MIT
// What the pools of a process count, for /metrics.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::actors {

/// Threading: any thread.
struct pool_figures {
  std::atomic<std::uint64_t> preemptions = 0;  ///< Attempts that were told to make way.
};

}  // namespace millrace::actors
