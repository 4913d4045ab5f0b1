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

#include "activation/watched_thread.h"
#include "millrace/runtime/metrics.h"
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
