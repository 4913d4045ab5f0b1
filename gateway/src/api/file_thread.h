// SPDX-License-Identifier: MIT
// A thread for what waits for a disk or for actors, or computes for long, so that io threads never
// do.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::gateway {

/// Runs jobs one after the other. Those that wait when it is destroyed are dropped.
///
/// Threading: any.
class file_thread {
public:
  /// Jobs that may wait: about a second's worth of reading logs from a cold disk.
  static constexpr std::size_t waiting_max_default = 256;

  /// `name` says in a refusal what waits here. Requires: `clock` outlives it.
  file_thread(std::string name, const runtime::clock& clock,
              std::size_t waiting_max = waiting_max_default);
  file_thread(const file_thread&) = delete;
  file_thread& operator=(const file_thread&) = delete;
  ~file_thread();

  /// Runs `job` soon. Errors: `overloaded` while as many wait as may.
  [[nodiscard]] runtime::result<void> post(std::function<void()> job);

  /// The next job of what was admitted by `post`, which has at most one at a time: never refused.
  void go_on(std::function<void()> job);

  /// How long the job that runs now has run; 0 when none does.
  [[nodiscard]] runtime::duration busy() const;

private:
  void work();
  const std::string name_;
  const runtime::clock& clock_;
  const std::size_t waiting_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::optional<runtime::steady_time> busy_since_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::gateway
