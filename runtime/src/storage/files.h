// SPDX-License-Identifier: MIT
// The few file operations of a data directory, durable when they return.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// The error of a failed system call: `out_of_space`, `permission_denied` or `storage_failed`.
[[nodiscard]] error file_error(int number, std::string_view doing, const std::string& path);

/// Makes a directory (mode 0700) unless it exists; its parents must exist.
/// Errors: as `file_error`; `failed_precondition` when the name is taken by something else.
result<void> make_directory(const std::string& path);

/// Bytes that may still be written below `path`; UINT64_MAX when the system does not say.
[[nodiscard]] std::uint64_t disk_bytes_available(const std::string& path) noexcept;

/// Puts a directory's entries on disk.
result<void> sync_directory(const std::string& path);

/// Writes a whole file and puts its contents on disk; the name is durable after `sync_directory`.
result<void> write_file(const std::string& path, std::string_view contents);

/// The contents of a file of at most `bytes_max`. Errors: `not_found`, as `file_error`.
result<std::string> read_file(const std::string& path, std::size_t bytes_max);

}  // namespace millrace::runtime
