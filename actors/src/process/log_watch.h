// SPDX-License-Identifier: MIT
// Log watch: who waits for which file to grow, on one inotify descriptor.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "millrace/actors/process.h"
#include "process/unique_fd.h"

namespace millrace::actors::process_detail {

/// Threading: belongs to the supervisor's thread; callbacks run inside the calls.
class log_watch {
public:
  using callback = process_supervisor::log_callback;

  /// To be polled for reading. Below 0 if the kernel has no inotify instance left: then a waiter
  /// hears only of the end.
  [[nodiscard]] int fd() const { return inotify_.get(); }

  log_watch();

  /// Fires at once if the file has grown past `offset` already.
  void add(const std::string& file, std::uint64_t offset, callback on_event);
  /// Reads what inotify has and fires whose file has grown.
  void handle_readable();
  /// Fires everybody who waits for `file`.
  void end(const std::string& file);
  void end_all();

private:
  struct waiter {
    std::uint64_t offset;
    callback on_event;
  };
  struct watched {
    int descriptor = -1;  // IN_ONESHOT: gone once its event is read
    std::vector<waiter> waiters;
  };
  void arm(const std::string& file);
  void fire_grown(const std::string& file);

  unique_fd inotify_;
  std::map<std::string, watched> files_;
  std::unordered_map<int, std::string> names_;
};

}  // namespace millrace::actors::process_detail
