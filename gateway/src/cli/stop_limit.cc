// SPDX-License-Identifier: MIT
#include "cli/stop_limit.h"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "cli/command.h"

namespace millrace::gateway::cli {

namespace {

constexpr std::chrono::milliseconds look_interval{200};

}  // namespace

stop_limit::stop_limit(std::chrono::milliseconds longest, exit_code code,
                       std::function<void()> flush, std::function<bool()> begins)
    : code_(code),
      flush_(std::move(flush)),
      thread_([this, longest, begins = std::move(begins)] { watch(longest, begins); }) {}

stop_limit::~stop_limit() {
  const std::lock_guard lock{mutex_};
  stopped_ = true;
  changed_.notify_one();
}

void stop_limit::watch(std::chrono::milliseconds longest, const std::function<bool()>& begins) {
  std::unique_lock lock{mutex_};
  while (!begins() && !stopped_) {
    changed_.wait_for(lock, look_interval, [this] { return stopped_; });
  }
  if (!changed_.wait_for(lock, longest, [this] { return stopped_; })) {
    flush_();
    std::cerr << "millrace: not stopped within " << longest / std::chrono::seconds{1}
              << " s, ending now; the next start goes on as after a crash\n";
    ::_exit(static_cast<int>(code_));
  }
}

}  // namespace millrace::gateway::cli
