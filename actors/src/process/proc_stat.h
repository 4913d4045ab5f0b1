// SPDX-License-Identifier: MIT
// Who a process id stands for, which attempt a process belongs to, and killing what is surely ours.
//
// A process id alone names nobody for long: numbers are reused. Id and birth together do. The
// kernel gives the birth in clock ticks of CLOCK_BOOTTIME, so whoever starts a process knows it
// to the same precision by reading that clock before and after, without opening /proc.
//
// A process may leave its group, its session and its parent, close its files and clear its
// environment. What it keeps is its resource limits, through fork and exec. So the processes of an
// attempt bear a mark: a number in the limit RLIMIT_LOCKS, which Linux has not looked at since 2.4
// and which anyone may read of his own processes. The hard limit has it too, and that cannot be
// raised again but by root; a silo that runs inside a task keeps the hard limit that it finds, so
// that what it starts bears both its mark and that of the task. What is left without a mark is
// still known by `MILLRACE_TOKEN` in its environment.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/unique_fd.h"

namespace millrace::actors::process_detail {

/// What we read of a process.
struct proc_stat {
  char state = '?';  ///< `Z` and `X` are dead.
  pid_t group = 0;
  pid_t session = 0;
  std::uint64_t birth_ticks = 0;
};

/// What the processes of one attempt bear; 0: nothing.
using process_mark = std::uint64_t;

/// The marks of a process; 0 where it has none, is gone, or is not ours to look at.
struct process_marks {
  process_mark inner = 0;
  process_mark outer = 0;  ///< The same, or that of the task in which its silo runs.

  [[nodiscard]] bool has(process_mark mark) const {
    return mark != 0 && (inner == mark || outer == mark);
  }
};

/// Async-signal-safe. Cost: one system call.
[[nodiscard]] process_marks marks_of(pid_t pid) noexcept;

/// What the marks of one life have in common; they are this and a number below 2^32. From `bits`,
/// which are random.
[[nodiscard]] process_mark first_mark(std::uint64_t bits) noexcept;

/// Marks the calling process; its children inherit it. Async-signal-safe.
void bear_mark(process_mark mark) noexcept;

/// The value of `variable` (`NAME=`) that the process was started with, in `buffer`; empty: none.
/// What is longer than the buffer is none. Async-signal-safe. Cost: reads its environment.
[[nodiscard]] std::string_view variable_of_process(pid_t pid, std::string_view variable,
                                                   std::span<char> buffer) noexcept;

/// As above, its `MILLRACE_TOKEN`.
using token_buffer = std::array<char, 129>;
[[nodiscard]] std::string_view token_of_process(pid_t pid, token_buffer& buffer) noexcept;

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
  process_mark mark = 0;   ///< Of those that have left the group; 0: they are left alone.
  std::string_view token;  ///< As the mark.
};

enum class leader_state : std::uint8_t {
  ours,      ///< It exists, perhaps as a zombie: the group is ours.
  gone,      ///< No such process; what is left of the group may be ours.
  stranger,  ///< The number was given to another process: the group is gone.
};

/// Async-signal-safe.
[[nodiscard]] leader_state find_leader(const group_identity& identity) noexcept;

/// A pidfd of one living process, other than the leader, that is in the group or bears its mark;
/// none if there is none. Cost: reads /proc/<pid>/stat of every process.
[[nodiscard]] runtime::unique_fd find_living_member(const group_identity& identity);

/// Kills every living process that `is_wanted` and answers how many. Async-signal-safe if that is.
unsigned kill_each(const std::function<bool(pid_t)>& is_wanted) noexcept;

/// Signals those that have left the group. Cost: looks at every process.
void signal_strays(const group_identity& identity, int signal) noexcept;

/// SIGKILL takes effect within milliseconds unless the process waits for a device.
inline constexpr int fence_timeout_ms = 10'000;

enum class fence_outcome : std::uint8_t { fenced, gone, survived };

/// Kills the group with SIGKILL if it is surely ours, and what has left it, and waits until every
/// process found is dead.
/// Cost: reads all of /proc; waits up to `timeout_ms` in all.
[[nodiscard]] fence_outcome fence_group(const group_identity& identity, int timeout_ms);

/// As `fence_group`, of attempts of which only the directories `directory`TOKEN are known: what was
/// started with a `MILLRACE_OUTPUT` in one of them, and what bears the mark of such a process.
/// `directory` ends with a slash.
fence_outcome fence_attempts(const std::string& directory,
                             const std::set<std::string, std::less<>>& tokens, int timeout_ms);

}  // namespace millrace::actors::process_detail
