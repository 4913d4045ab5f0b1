// SPDX-License-Identifier: MIT
// Reading the output files of attempts, while they grow or afterwards.
//
// Files are raw bytes. A follower reads from its offset until `at_end`, then asks
// `process_supervisor::watch_log` to be told of more.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::actors {

/// A piece of a file.
struct log_chunk {
  std::string bytes;
  std::uint64_t next_offset = 0;  ///< Where to go on reading.
  bool at_end = false;            ///< The file had no more bytes at that moment.
};

/// At most `limit` bytes from `offset`; none, and `at_end`, beyond the end.
/// Errors: `not_found`, `storage_failed`. Cost: blocks on the disk.
[[nodiscard]] runtime::result<log_chunk> read_log(const std::filesystem::path& file,
                                                  std::uint64_t offset, std::size_t limit);

/// The last `limit` bytes. Errors and cost: as `read_log`.
[[nodiscard]] runtime::result<log_chunk> tail_log_bytes(const std::filesystem::path& file,
                                                        std::size_t limit);

/// The last `lines` lines, of the last `limit` bytes. A last line without its newline counts.
/// Errors and cost: as `read_log`.
[[nodiscard]] runtime::result<log_chunk> tail_log_lines(const std::filesystem::path& file,
                                                        std::size_t lines, std::size_t limit);

/// `bytes` with U+FFFD for each maximal ill-formed part (Unicode 15, section 3.9), so the answer is
/// UTF-8 of at most three times the size.
[[nodiscard]] std::string to_utf8(std::string_view bytes);

}  // namespace millrace::actors
