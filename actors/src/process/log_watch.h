// SPDX-License-Identifier: MIT
// Log watch: who waits for which output to grow, on one inotify descriptor.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "millrace/actors/process.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::actors::process_detail {

/// An output is named by the descriptor through which it is kept open, whatever its path has
/// become.
///
/// Threading: belongs to the supervisor's thread; callbacks run inside the calls.
class log_watch {
public:
  using callback = log_callback;

  /// To be polled for reading. Below 0 if the kernel has no inotify instance left: then a waiter
  /// hears only of the end.
  [[nodiscard]] int fd() const { return inotify_.get(); }

  log_watch();

  /// Fires at once if the output has grown past `offset` already. Requires: `log` stays open until
  /// its `end`.
  void add(int log, log_waiter_id id, std::uint64_t offset, callback on_event);
  /// Drops a waiter without firing it.
  void forget(log_waiter_id id);
  /// Reads what inotify has and fires whose output has grown.
  void handle_readable();
  [[nodiscard]] std::uint32_t waiting() const {
    return static_cast<std::uint32_t>(waits_for_.size());
  }
  /// Fires everybody who waits for `log`.
  void end(int log);
  void end_all();

private:
  struct waiter {
    log_waiter_id id;
    std::uint64_t offset;
    callback on_event;
  };
  struct watched {
    int descriptor = -1;  // IN_ONESHOT: gone once its event is read
    std::vector<waiter> waiters;
  };
  using watched_logs = std::map<int, watched>;
  void arm(int log);
  void fire_grown(int log);
  void stop_watching(watched_logs::iterator found);

  runtime::unique_fd inotify_;
  watched_logs logs_;
  std::unordered_map<int, int> armed_;  // inotify's descriptor to the log
  std::map<log_waiter_id, int> waits_for_;
};

}  // namespace millrace::actors::process_detail
