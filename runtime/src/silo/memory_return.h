// SPDX-License-Identifier: MIT
// Memory return: what activations held goes back to the system when they have left.
//
// The allocator keeps what is freed for itself: actors die in no order, so hardly ever is the end
// of an arena free, and only that does it give back by itself. Asked, it gives back every free
// page.
#pragma once

#include <atomic>
#include <cstddef>

#include "timers/timer_service.h"

namespace millrace::runtime::detail {

class silo_core;

/// Threading: any thread. Cost: an addition for each activation that leaves; every `interval` at
/// most a walk over the free memory on a thread for what may block, during which threads that want
/// memory of the same arena wait, about 0.2 ms a MiB that goes back.
class memory_return final : public alarm {
public:
  /// So much has to be free before it is worth the walk.
  static constexpr std::size_t worth_bytes = std::size_t{4} << 20U;
  /// At most one walk in this time, and the least that freed memory waits for more to come.
  static constexpr duration interval = std::chrono::seconds{5};

  explicit memory_return(silo_core& home) : home_(home) {}

  /// An activation that held about `bytes` has left.
  void freed(std::size_t bytes) noexcept;

  void on_alarm() noexcept override;
  void keep() noexcept override {}  // lives as long as the silo, which stops the timers first
  void release() noexcept override {}

private:
  silo_core& home_;
  std::atomic<std::size_t> bytes_{0};  // since the last walk
};

}  // namespace millrace::runtime::detail
