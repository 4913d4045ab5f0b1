// SPDX-License-Identifier: MIT
// Thread watch: notices turns that do not give their thread back.
//
// Each thread that runs turns writes down whose turn it runs, and counts; the watch looks from time
// to time, and where nothing has moved since it looked last, somebody blocks or computes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "activation/segment.h"
#include "silo/type_meter.h"
#include "timers/timer_service.h"

namespace millrace::runtime::detail {

class activation;
class silo_core;
struct thread_look;

/// A turn that holds its thread.
struct held_thread {
  std::string actor;  ///< `type/key`
  std::string method;
};

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

/// Threading: any thread.
class thread_watch final : public alarm {
public:
  explicit thread_watch(silo_core& home) : home_(home) {}

  void start();

  /// The calling thread's; made on first use, owned by the watch.
  [[nodiscard]] watched_thread& own();

  /// The calling thread is a spare one, until `end_spare`.
  void begin_spare();
  void end_spare();
  /// Counts the threads as a look does, and hands on what those that have not moved were to run
  /// next. By one thread.
  [[nodiscard]] thread_look look();
  /// The turns that run now and have not moved since the last look.
  [[nodiscard]] std::vector<held_thread> held();

  /// What all threads have counted; nothing when one of them runs somebody. The same value twice
  /// means that nobody has run between.
  [[nodiscard]] std::optional<std::uint64_t> turns_if_idle();
  /// Adds what the threads have counted of every type, and how many there are. `types`: by index.
  void add_to(silo_metrics& all, const std::vector<type_metrics*>& types) const;

  void on_alarm() noexcept override;
  void keep() noexcept override {}  // lives as long as the silo, which stops the timers first
  void release() noexcept override {}

private:
  silo_core& home_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<watched_thread>> threads_;
  watched_thread* by_hand_ = nullptr;  // whoever runs a silo by hand
};

}  // namespace millrace::runtime::detail
