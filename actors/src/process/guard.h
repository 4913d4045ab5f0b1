// SPDX-License-Identifier: MIT
// Guard: a small process that kills every attempt's group when ours dies.
//
// It is a fork without exec (a library has no program of its own to execute) that shares the
// attempt table and holds the reading end of a pipe. The kernel closes the writing end when our
// process ends, however it ends; the guard then kills the groups in the table and exits. A child
// that is between clone and exec at that moment still holds the writing end, and it has put its
// group into the table before it lets go: no start slips through. A process sharing our memory
// instead of a copy would be killed by the kernel along with our core dump.
#pragma once

#include <sys/types.h>

#include "millrace/runtime/result.h"
#include "process/attempt_table.h"
#include "process/task_file.h"

namespace millrace::actors::process_detail {

/// Our handle of the guard process.
class guard {
public:
  /// Requires: `table` outlives the guard; call it before the process is large.
  [[nodiscard]] static runtime::result<guard> start(attempt_table& table);

  guard(guard&&) = default;
  guard& operator=(guard&&) = delete;
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;
  /// Ends the guard. Requires: the table holds no group.
  ~guard();

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable once the guard is dead.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

private:
  guard() = default;
  unique_fd lifeline_;
  unique_fd pidfd_;
  pid_t pid_ = 0;
};

}  // namespace millrace::actors::process_detail
