// SPDX-License-Identifier: MIT
// What the processes of attempts have of memory: pages of their own, and none of files.
//
// What each of them says it has is quick to read, and more than the truth where they share pages: a
// child after `fork` has those of its parent until one of them writes. So where the sum is over the
// limit each page is counted by its part (`Pss` of proc_pid_smaps_rollup(5)), for which the kernel
// goes through the page tables: about 10 ms a GiB. Between `vfork` and `exec` a process runs on the
// memory of its parent, so one that is as large to the page counts from the second look on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "process/proc_stat.h"

namespace millrace::actors::process_detail {

/// One attempt, whose processes are in the group or bear the mark.
struct memory_use {
  pid_t group = 0;
  process_mark mark = 0;
  std::uint64_t limit = 0;
  bool is_exact = false;  ///< Pages that are shared may be told apart, if need be.
  std::vector<pid_t> known =
      {};                  ///< Its processes in the last look, and then in this one; in order.
  bool is_settled = true;  ///< Nothing was left out that counts in the next look.
  /// What they have, or where that is over the limit perhaps a part of it. Nothing: not more than
  /// the limit unless what they share is less than it seems, and that was not to be told.
  std::optional<std::uint64_t> bytes = {};
};

/// Takes one look. Cost: two system calls for each process of the machine, and reads a file for
/// each of theirs, 20 us; see above for those over the limit. A process that is being torn down may
/// hold it up.
void measure_memory(std::span<memory_use> uses);

}  // namespace millrace::actors::process_detail
