// SPDX-License-Identifier: MIT
// The end of a process whose storage can no longer be trusted.
#pragma once

#include <string_view>

namespace millrace::runtime {

/// The exit status of a process that lost its storage (sysexits' EX_IOERR).
inline constexpr int storage_lost_status = 74;

/// What every text about a damaged file ends with.
inline constexpr std::string_view damage_remedy =
    "`millrace check` reads all of it, `millrace restore` puts back a backup";

/// Says why on standard error and ends the process at once, without destructors and without
/// another write: after a failed flush nobody knows what is on the disk, so no commit may be
/// answered and no read may be served. What was acknowledged before is on the disk.
[[noreturn]] void storage_lost(std::string_view why) noexcept;

/// The directory of the mapped file that this thread reads or writes now; null for none. See
/// `lmdb_section` and `watch_storage_signals`.
extern constinit thread_local const char* storage_file_in_use;

}  // namespace millrace::runtime
