// SPDX-License-Identifier: MIT
#include "cli/stop_limit.h"

#include <unistd.h>

#include <iostream>

#include "cli/command.h"

namespace millrace::gateway::cli {

stop_limit::stop_limit(std::chrono::milliseconds longest)
    : thread_([this, longest] { watch(longest); }) {}

stop_limit::~stop_limit() {
  const std::lock_guard lock{mutex_};
  stopped_ = true;
  changed_.notify_one();
}

void stop_limit::watch(std::chrono::milliseconds longest) {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_for(lock, longest, [this] { return stopped_; })) {
    std::cerr << "millrace: not stopped within " << longest / std::chrono::seconds{1}
              << " s, ending now; the next start goes on as after a crash\n";
    ::_exit(static_cast<int>(exit_code::run_failed));
  }
}

}  // namespace millrace::gateway::cli
