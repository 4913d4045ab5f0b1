// SPDX-License-Identifier: MIT
// Timer service: the one thread of a silo that watches the clock.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "millrace/runtime/clock.h"
#include "timers/timer_wheel.h"

namespace millrace::runtime::detail {

/// Something that is told when its time has come. Reference-counted: an armed alarm is kept alive
/// by the service.
class alarm {
public:
  alarm() = default;
  alarm(const alarm&) = delete;
  alarm& operator=(const alarm&) = delete;
  virtual ~alarm() = default;

  /// On the service's thread; must not block. The alarm is no longer armed.
  virtual void on_alarm() noexcept = 0;
  /// The service has stopped: this alarm will not go off. Must not block.
  virtual void on_stop() noexcept {}
  virtual void keep() noexcept = 0;     ///< Adds a reference.
  virtual void release() noexcept = 0;  ///< Drops one.

private:
  friend class timer_service;
  struct entry : timer_entry {
    alarm* owner = nullptr;
  };
  entry entry_;
};

enum class timers_run : std::uint8_t {
  on_a_thread,
  when_told,  ///< Only within `time_changed`.
};

/// Threading: every member may be called from any thread.
class timer_service {
public:
  explicit timer_service(const clock& time, timers_run how = timers_run::on_a_thread);
  timer_service(const timer_service&) = delete;
  timer_service& operator=(const timer_service&) = delete;
  ~timer_service();

  /// Makes sure that `one` goes off at `due` or earlier: an alarm armed for an earlier time stays,
  /// and its owner arms it again when it goes off. Once stopped, calls its `on_stop` instead.
  /// Cost: a lock, O(1).
  void arm(alarm& one, steady_time due);

  void disarm(alarm& one);

  /// For a clock that is moved by hand: looks at it now, and returns when every alarm due by then
  /// has gone off. Requires: not called by an alarm.
  void time_changed();

  /// A time before which nothing goes off; the present while something does, nothing when nothing
  /// is armed.
  [[nodiscard]] std::optional<steady_time> next_due();
  /// How many alarms are armed.
  [[nodiscard]] std::size_t armed() const;

  /// Joins the thread and calls `on_stop` of whatever is armed. Idempotent.
  void stop();

private:
  void work();
  void fire(std::unique_lock<std::mutex>& lock);

  const clock& time_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  timer_wheel wheel_;
  steady_time sleeping_until_ = steady_time::max();
  unsigned firing_ = 0;  // threads within `fire`
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::runtime::detail
