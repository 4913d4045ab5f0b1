// SPDX-License-Identifier: MIT
// Memory watch: looks at what attempts with a limit have of memory, and tells of those over it.
//
// In a thread of its own: a look at large processes takes long, and one at a process that does not
// let go of its tables does not end.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "millrace/runtime/clock.h"
#include "process/memory_use.h"

namespace millrace::actors::process_detail {

/// Threading: `add` and `remove` from any thread.
class memory_watch {
public:
  /// `on_over` is called from the watch's thread, once a look, with the token of an attempt that
  /// has more than it may; it may be of one that was removed meanwhile. Requires: `clock` outlives
  /// it.
  memory_watch(const runtime::clock& clock, std::function<void(const std::string&)> on_over);
  memory_watch(const memory_watch&) = delete;
  memory_watch& operator=(const memory_watch&) = delete;
  /// Waits for the look that goes on.
  ~memory_watch();

  /// From now on it is looked at four times a second.
  void add(const std::string& token, memory_use use);
  /// Answers the most that was seen of it; 0: nothing was, or it was not added.
  std::uint64_t remove(const std::string& token);

private:
  struct watched {
    memory_use use;
    std::uint64_t most = 0;
    runtime::steady_time next_exact{};
  };

  void loop(const std::stop_token& stopping);
  void look();

  const runtime::clock& clock_;
  const std::function<void(const std::string&)> on_over_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, watched> watched_;  // under the mutex
  std::jthread thread_;                     // last; from the first `add` on
};

}  // namespace millrace::actors::process_detail
