// SPDX-License-Identifier: MIT
// Worker: one thread that does one job after the other, some of them later.
//
// What starts processes, reads what they left and waits for answers blocks, so it is kept off the
// threads that run turns. One thread, because the jobs of an executor want an order.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// Threading: any thread, but for `run`, `run_due` and `stop`. Jobs run one at a time, in the order
/// of the calls and of the times that they are due; they must not throw.
class worker {
public:
  /// Requires: `time` outlives the worker.
  explicit worker(const runtime::clock& time) : time_(time) {}
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  /// Stops.
  ~worker() { stop(); }

  /// Has `job` done once `after` has passed; dropped if the worker stops before. What is posted
  /// before `run` waits for it.
  void post(std::function<void()> job, runtime::duration after = {});

  /// Starts the thread. Call it at most once.
  void run();

  /// Instead of `run`: does on this thread whatever is due, also what these jobs post.
  void run_due();

  /// How long the thread has been at the job that it does now; 0 while it waits.
  [[nodiscard]] runtime::duration busy() const;

  [[nodiscard]] bool stopping() const;

  /// Lets the present job end and drops the others. Idempotent. Requires: not called by a job.
  void stop();

private:
  void work();
  [[nodiscard]] std::function<void()> take();

  const runtime::clock& time_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::multimap<runtime::steady_time, std::function<void()>> later_;
  std::optional<runtime::steady_time> busy_since_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::actors
