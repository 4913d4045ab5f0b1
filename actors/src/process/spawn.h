// SPDX-License-Identifier: MIT
// Spawn: puts a program into a new process and process group, at a cost that does not grow with us.
//
// The child runs on our memory while the starting thread waits (CLONE_VM | CLONE_VFORK), so no page
// table is copied: from a 1 GB parent a plain fork manages 55 starts a second, this 2,200. It also
// lets the child write its group into the attempt table and its failure into our variables.
#pragma once

#include <sys/types.h>

#include "millrace/actors/process.h"
#include "process/attempt_table.h"
#include "process/task_file.h"

namespace millrace::actors::process_detail {

/// The open files a child gets as 0, 1 and 2. Each is above 2.
struct standard_streams {
  int input;
  int output;
  int error;
};

struct spawned {
  pid_t pid = 0;
  unique_fd pidfd;
};

/// Whether the kernel may take the arguments and the environment of `spec`: it has the last word.
/// Errors: `too_large`.
[[nodiscard]] runtime::result<void> check_size(const process_spec& spec);

/// Starts the program of `spec` in a group of its own, signals as at login, no other descriptors.
/// Its processes bear `mark`. The slot of `index` holds the group, in the file too, before the
/// program runs, and none in memory after a failure.
///
/// Errors: those of `process_supervisor::start` that concern the program and the directory.
[[nodiscard]] runtime::result<spawned> spawn(const process_spec& spec, standard_streams streams,
                                             process_mark mark, attempt_table& table,
                                             std::uint32_t index);

/// Closes every descriptor from `first` on. Async-signal-safe.
void close_from(int first) noexcept;

}  // namespace millrace::actors::process_detail
