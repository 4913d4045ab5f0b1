// SPDX-License-Identifier: MIT
// Stop limit: a server that is told to stop ends in time, whatever it waits for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace millrace::gateway::cli {

/// Ends the process, with a line, unless it is destroyed within `longest`: the disk may not answer,
/// or a task be stuck in the kernel. The executor's guard then ends what still runs, and the next
/// start goes on as after a crash.
class stop_limit {
public:
  explicit stop_limit(std::chrono::milliseconds longest);
  stop_limit(const stop_limit&) = delete;
  stop_limit& operator=(const stop_limit&) = delete;
  ~stop_limit();

private:
  void watch(std::chrono::milliseconds longest);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace millrace::gateway::cli
