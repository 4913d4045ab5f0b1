// SPDX-License-Identifier: MIT
// Who a process id stands for: /proc/<pid>/stat, and killing a group that is surely ours.
//
// A process id alone names nobody for long: numbers are reused. Id and birth together do. The
// kernel gives the birth in clock ticks of CLOCK_BOOTTIME, so whoever starts a process knows it
// to the same precision by reading that clock before and after, without opening /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "process/task_file.h"

namespace millrace::actors::process_detail {

/// What we read of a process.
struct proc_stat {
  char state = '?';  ///< `Z` and `X` are dead.
  pid_t group = 0;
  pid_t session = 0;
  std::uint64_t birth_ticks = 0;
};

/// Now, in the unit of `birth_ticks`. Async-signal-safe.
[[nodiscard]] std::uint64_t boot_ticks() noexcept;

/// Async-signal-safe. Cost: about 10 us. Absent if there is no such process.
[[nodiscard]] std::optional<proc_stat> read_proc_stat(pid_t pid) noexcept;

/// A process group with what tells it from a later one of the same number.
struct group_identity {
  pid_t group = 0;  ///< Also the process id of its leader.
  pid_t session = 0;
  std::uint64_t born_not_before = 0;  ///< The leader's birth, in ticks, lies within these.
  std::uint64_t born_not_after = 0;
};

enum class leader_state : std::uint8_t {
  ours,      ///< It exists, perhaps as a zombie: the group is ours.
  gone,      ///< No such process; what is left of the group may be ours.
  stranger,  ///< The number was given to another process: the group is gone.
};

/// Async-signal-safe.
[[nodiscard]] leader_state find_leader(const group_identity& identity) noexcept;

/// A pidfd of one living member of the group other than its leader; none if there is none.
/// Cost: reads /proc/<pid>/stat of every process.
[[nodiscard]] unique_fd find_living_member(pid_t group);

enum class fence_outcome : std::uint8_t { fenced, gone, survived };

/// Kills the group with SIGKILL if it is surely ours and waits until every member found is dead.
/// Cost: reads all of /proc; waits up to `timeout_ms` in all.
[[nodiscard]] fence_outcome fence_group(const group_identity& identity, int timeout_ms);

}  // namespace millrace::actors::process_detail
