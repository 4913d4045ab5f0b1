// SPDX-License-Identifier: MIT
// The end of a process whose storage can no longer be trusted.
#pragma once

#include <string_view>

namespace millrace::runtime {

/// The exit status of a process that lost its storage (sysexits' EX_IOERR).
inline constexpr int storage_lost_status = 74;

/// Says why on standard error and ends the process at once, without destructors and without
/// another write: after a failed flush nobody knows what is on the disk, so no commit may be
/// answered and no read may be served. What was acknowledged before is on the disk.
[[noreturn]] void storage_lost(std::string_view why) noexcept;

}  // namespace millrace::runtime
