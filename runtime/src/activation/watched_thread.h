// SPDX-License-Identifier: MIT
// Watched thread: what a thread that runs turns does, counts and keeps between turns.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "activation/segment.h"
#include "metrics/type_meter.h"

namespace millrace::runtime::detail {

class activation;

/// What one thread does now, and has done. Written by it, read by the watch and for metrics.
struct watched_thread {
  std::atomic<const activation*> runs{nullptr};  ///< Null: it waits for work.
  std::atomic<const char*> method{nullptr};      ///< Its name, static; null between turns.
  std::atomic<std::uint64_t> turns{0};           ///< Grows at whatever begins or ends.

  void count() noexcept {
    turns.store(turns.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  void begin(const activation& one) noexcept {
    runs.store(&one, std::memory_order_relaxed);
    count();
  }

  std::vector<std::unique_ptr<type_meter>> meters;  ///< By `actor_type::index`.

  /// The activation that it runs next; set by it, taken by it or by whoever finds it blocked.
  std::atomic<activation*> next{nullptr};
  std::atomic<bool> spare{false};  ///< It is there only while others are held.
  std::atomic<bool> gone{false};   ///< It was one, and another may use what is here.

  // Its own.
  type_meter* meter = nullptr;  ///< Of the activation that it runs.
  turn_timer timer;
  turn_segment segment;  ///< Of the turn whose code it runs; else empty.

  /// A turn of that activation begins or goes on.
  void begins(const char* name) noexcept { method.store(name, std::memory_order_relaxed); }
  /// It ends or waits.
  void ends() noexcept {
    method.store(nullptr, std::memory_order_relaxed);
    count();
    timer.turn_ended(*meter);
  }

  // The spare threads' look at it.
  std::uint64_t turns_looked_at = 0;

  // The watch's.
  std::uint64_t turns_seen = 0;
  const activation* seen = nullptr;
  bool warned = false;
};

}  // namespace millrace::runtime::detail
