// SPDX-License-Identifier: MIT
// Thread pool: threads for functions that may block.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "millrace/runtime/metrics.h"

namespace millrace::runtime::detail {

/// Starts a thread when a job finds none idle, up to `threads_max`; they stay.
///
/// Threading: any thread.
class thread_pool {
public:
  thread_pool(std::size_t threads_max, std::size_t queue_max)
      : threads_max_(threads_max), queue_max_(queue_max) {}
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() { stop(); }

  /// Queues a job, which must not throw; false when the queue is full or the pool has stopped: then
  /// the job is destroyed.
  [[nodiscard]] bool submit(std::function<void()> job);

  /// Runs one of the jobs that wait on the calling thread; false when there is none.
  bool run_one();

  /// Whether a job waits or runs.
  [[nodiscard]] bool busy();

  /// Destroys the jobs that wait and joins the threads. Idempotent.
  void stop();

  [[nodiscard]] offload_metrics metrics() const;

private:
  void work();

  const std::size_t threads_max_;
  const std::size_t queue_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace millrace::runtime::detail
