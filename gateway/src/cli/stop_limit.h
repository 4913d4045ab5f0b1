// SPDX-License-Identifier: MIT
// Stop limit: what is told to stop ends in time, whatever it waits for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "cli/cli.h"

namespace millrace::gateway::cli {

/// The HTTP server takes up to 5 s, tasks up to 20 s, a collector of spans up to 3 s; what starts
/// us kills after 30 s or more.
inline constexpr std::chrono::seconds stop_longest{29};

/// Ends the process with `code`, and a line, unless it is destroyed within `longest`, counted from
/// when `begins` is first true, which is asked for a few times a second: the disk may not answer,
/// or a task be stuck in the kernel. The executor's guard then ends what still runs, and the next
/// start goes on as after a crash. `flush`: has what was logged written first, for a moment at
/// most.
class stop_limit {
public:
  stop_limit(
      std::chrono::milliseconds longest, exit_code code, std::function<void()> flush,
      std::function<bool()> begins = [] { return true; });
  stop_limit(const stop_limit&) = delete;
  stop_limit& operator=(const stop_limit&) = delete;
  ~stop_limit();

private:
  void watch(std::chrono::milliseconds longest, const std::function<bool()>& begins);

  const exit_code code_;
  const std::function<void()> flush_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::jthread thread_;
};

}  // namespace millrace::gateway::cli
