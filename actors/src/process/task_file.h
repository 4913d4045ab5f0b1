// SPDX-License-Identifier: MIT
// Files that a task can reach, opened so that nothing it puts in their place does harm.
//
// A task may replace any file it can name by a pipe (opening one waits for a writer), a link, a
// device (opening one may act), a directory. So a name is looked at without opening it (O_PATH),
// and what was looked at is opened, not the name a second time. No link is followed, no open
// waits, not even for a lease, and names are single components of a directory that is held open.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::actors::process_detail {

using runtime::unique_fd;

/// Which file it is, whatever its name.
struct file_mark {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const file_mark&, const file_mark&) = default;
};

[[nodiscard]] inline file_mark mark_of(const struct stat& status) {
  return {status.st_dev, status.st_ino};
}

/// A task may set it to any; what does not fit is the nearest that does.
[[nodiscard]] inline runtime::wall_time time_of(const timespec& time) {
  constexpr std::int64_t seconds_max = 9'000'000'000;  // in the year 2255
  const std::chrono::seconds whole{std::clamp<std::int64_t>(time.tv_sec, 0, seconds_max)};
  return runtime::wall_time{whole + std::chrono::nanoseconds{time.tv_nsec}};
}

/// `a pipe`, `a directory`, ... or `a file`.
[[nodiscard]] std::string kind_of(mode_t mode);

/// Opens with O_CLOEXEC, and never as 0, 1 or 2, which a child replaces. errno tells of a failure.
/// Not for what a task can reach.
[[nodiscard]] unique_fd open_file(const char* path, int flags, mode_t mode = 0);

/// Opens the regular file `name` of `directory`. `flags`: O_RDONLY or O_RDWR, and O_APPEND.
/// Errors: `not_found`; `failed_precondition` when it is something else, which the text says.
[[nodiscard]] runtime::result<unique_fd> open_regular(int directory, const std::string& name,
                                                      int flags);

/// Opens the directory `name` of `directory`. Errors: as `open_regular`.
[[nodiscard]] runtime::result<unique_fd> open_directory(int directory, const std::string& name);

/// As above, made first where it is missing, for its owner only.
[[nodiscard]] runtime::result<unique_fd> make_directory(int directory, const std::string& name);

/// Removes `name` and all that lies below, also where directories must not be written or entered.
/// Goes on past what cannot be removed. Errors: the first failure. What is not there is removed.
/// Cost: in time the number of files; in memory and descriptors, nothing that a task can make
/// large: deep trees are taken apart level by level, not descended into.
[[nodiscard]] runtime::result<void> remove_tree(int directory, const std::string& name);

/// Whether it has no entry.
[[nodiscard]] bool is_empty_directory(int directory);

/// The entries of a directory but for `.` and `..`, at most `limit`.
[[nodiscard]] std::vector<std::string> entries_of(int directory, std::size_t limit);

}  // namespace millrace::actors::process_detail
