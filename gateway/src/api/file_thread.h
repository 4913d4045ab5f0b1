// SPDX-License-Identifier: MIT
// A thread for what waits for a disk or computes for long, so that io threads never do.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace millrace::gateway {

/// Runs jobs one after the other. Those that wait when it is destroyed are dropped.
class file_thread {
public:
  file_thread();
  file_thread(const file_thread&) = delete;
  file_thread& operator=(const file_thread&) = delete;
  ~file_thread();
  /// Runs `job` soon. Threading: any.
  void post(std::function<void()> job);
  /// The same, but false, and the job is dropped, where `waiting_max` others wait already.
  [[nodiscard]] bool try_post(std::function<void()> job, std::size_t waiting_max);

private:
  void work();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::gateway
