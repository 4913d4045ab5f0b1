// SPDX-License-Identifier: MIT
// The few file operations of a data directory, durable when they return.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::runtime {

/// The error of a failed system call: `out_of_space`, `permission_denied` or `storage_failed`.
[[nodiscard]] error file_error(int number, std::string_view doing, const std::string& path);

/// Whether a link in the place of a file is gone through.
enum class links : std::uint8_t { refused, followed };

/// Opens a file with the flags of open(2); what O_CREAT makes has the mode 0600. Whatever stands in
/// its place, it is not waited for. Errors: `not_found`, as `file_error`; `failed_precondition`
/// when it is no file, or a link that is not followed.
[[nodiscard]] result<unique_fd> open_plain(const std::string& path, int flags,
                                           links through = links::refused);

/// Makes a directory (mode 0700) unless it exists; its parents must exist.
/// Errors: as `file_error`; `failed_precondition` when the name is taken by something else.
result<void> make_directory(const std::string& path);

/// Bytes that may still be written below `path`; UINT64_MAX when the system does not say.
[[nodiscard]] std::uint64_t disk_bytes_available(const std::string& path) noexcept;

/// Puts a directory's entries on disk.
result<void> sync_directory(const std::string& path);

/// Writes a whole file and puts its contents on disk; the name is durable after `sync_directory`.
/// Errors: as `open_plain`.
result<void> write_file(const std::string& path, std::string_view contents);

/// The contents of a file, up to `bytes_max`. Errors: as `open_plain`.
result<std::string> read_file(const std::string& path, std::size_t bytes_max,
                              links through = links::refused);

}  // namespace millrace::runtime
