// SPDX-License-Identifier: MIT
// The end of a process whose storage can no longer be trusted.
#pragma once

#include <string_view>
#include <utility>

namespace millrace::runtime {

/// The exit status of a process that lost its storage (sysexits' EX_IOERR).
inline constexpr int storage_lost_status = 74;

/// What every text about a damaged file ends with.
inline constexpr std::string_view damage_remedy =
    "`millrace check` reads all of it; a silo by itself gets back a backup by `millrace restore`, "
    "one of a cluster makes new copies when it starts with an empty directory";

/// Says why on standard error and ends the process at once, without destructors and without
/// another write: after a failed flush nobody knows what is on the disk, so no commit may be
/// answered and no read may be served. What was acknowledged before is on the disk.
[[noreturn]] void storage_lost(std::string_view why) noexcept;

/// A file that is mapped, and what to do when it is damaged. Both end with a zero.
struct mapped_file {
  const char* path;
  const char* remedy = damage_remedy.data();
};

/// The one that this thread reads or writes now; null for none. See `watch_storage_signals`.
extern constinit thread_local const mapped_file* mapped_file_in_use;

/// While one exists, its thread works on mapped pages of `file`: a signal that a damaged or lost
/// page causes is storage's, and ends the process with a line. Ownership: `file` outlives it.
class mapped_section {
public:
  explicit mapped_section(const mapped_file& file) noexcept
      : outer_(std::exchange(mapped_file_in_use, &file)) {}
  mapped_section(const mapped_section&) = delete;
  mapped_section& operator=(const mapped_section&) = delete;
  ~mapped_section() { mapped_file_in_use = outer_; }

private:
  const mapped_file* outer_;
};

}  // namespace millrace::runtime
