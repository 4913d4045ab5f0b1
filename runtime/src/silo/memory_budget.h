// SPDX-License-Identifier: MIT
// Memory budget: what the activations of one silo hold, and which of them leave when it is too
// much.
//
// Each activation says at the end of a batch what it holds and whether it is idle; what is idle is
// in a list, the longest unused first. Over the limit the first ones are asked to leave until an
// eighth of it is free, so that the next activation does not begin it all again. An activation that
// is asked and has work meanwhile stays, and comes back to the list when it is idle again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "activation/memory_share.h"
#include "millrace/runtime/clock.h"

namespace millrace::runtime::detail {

class silo_core;

/// Threading: any thread, but `settle` and `leave` by the activation whose share it is.
/// Cost: O(1); a lock when an activation becomes idle, at most every `order_grain` for each, and
/// while the limit is passed. Without a limit nothing is counted.
class memory_budget {
public:
  /// Activations used within this time of each other may leave in either order.
  static constexpr duration order_grain = std::chrono::milliseconds{10};

  /// `limit` in bytes; 0: none.
  memory_budget(silo_core& home, std::size_t limit);
  memory_budget(const memory_budget&) = delete;
  memory_budget& operator=(const memory_budget&) = delete;
  ~memory_budget() = default;

  [[nodiscard]] bool on() const noexcept { return limit_ > 0; }

  /// What lies in mailboxes grew, or shrank, by that much.
  void queued(std::int64_t bytes) noexcept {
    if (on()) {
      used_.fetch_add(bytes, std::memory_order_relaxed);
    }
  }

  /// `one` holds `bytes` and was last used at `used`. May ask activations to leave, this one too.
  void settle(memory_share& one, std::size_t bytes, memory_share::standing as, steady_time used);

  /// `one` ends.
  void leave(memory_share& one);

  [[nodiscard]] std::uint64_t bytes() const noexcept;
  [[nodiscard]] std::uint64_t evictions() const noexcept {
    return evictions_.load(std::memory_order_relaxed);
  }
  /// How often the limit was passed while nothing was idle.
  [[nodiscard]] std::uint64_t exhausted() const noexcept {
    return exhausted_.load(std::memory_order_relaxed);
  }

private:
  void list(memory_share& one, steady_time used) noexcept;
  void unlist(memory_share& one) noexcept;
  void take_back(memory_share& one) noexcept;
  void relieve();

  silo_core& home_;
  const std::int64_t limit_;
  const std::int64_t low_;
  std::atomic<std::int64_t> used_{0};
  std::atomic<std::uint64_t> evictions_{0};
  std::atomic<std::uint64_t> exhausted_{0};
  std::mutex mutex_;
  memory_share idle_;  // head of the list
  std::int64_t asked_bytes_ = 0;
  unsigned asked_ = 0;      // that have neither left nor refused
  bool relieving_ = false;  // from passing the limit until enough has left
  bool warned_ = false;
};

}  // namespace millrace::runtime::detail
