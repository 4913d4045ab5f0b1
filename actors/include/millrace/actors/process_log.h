// SPDX-License-Identifier: MIT
// Reading the output of attempts, while it grows or afterwards.
//
// Output is raw bytes. A follower reads from its offset until `at_end`, then asks
// `executor::watch_log` to be told of more. Offsets count all that was written, also what
// was dropped from the middle of a long one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::actors {

enum class output_stream : std::uint8_t { standard_output, standard_error };

enum class log_event : std::uint8_t {
  grown,  ///< There are bytes at or after the offset.
  ended,  ///< No attempt writes it (any more); what is there is all.
};

/// Names a waiter for a log to grow.
enum class log_waiter_id : std::uint64_t {};
using log_callback = std::function<void(log_event)>;

/// A piece of an output.
struct log_chunk {
  std::uint64_t dropped = 0;  ///< Bytes before `bytes`, from where it was asked for, are gone.
  std::uint64_t offset = 0;   ///< Of `bytes`.
  std::string bytes;
  std::uint64_t next_offset = 0;  ///< Where to go on reading.
  bool at_end = false;            ///< There were no more bytes at that moment.
};

/// When a part of an output was written: what lies between the `end` of the part before and `end`.
struct log_time {
  std::uint64_t end = 0;
  runtime::wall_time at;  ///< That of its last byte, and not before that of the part before.
};

/// One output, open. It stays the same one whatever becomes of its name.
///
/// Threading: any. Cost of reading: blocks on the disk; time and memory are those of `limit`.
class log_file {
public:
  /// Requires: `fd` is a regular file, open for reading; so is `times`, if there are any: what
  /// `time_line` has made.
  explicit log_file(runtime::unique_fd fd, runtime::unique_fd times = {})
      : fd_(std::move(fd)), times_(std::move(times)) {}

  /// At most `limit` bytes from `offset`; none, and `at_end`, beyond the end.
  /// Errors: `storage_failed`.
  [[nodiscard]] runtime::result<log_chunk> read(std::uint64_t offset, std::size_t limit) const;

  /// What is kept of the last `limit` bytes. Errors: as `read`.
  [[nodiscard]] runtime::result<log_chunk> tail_bytes(std::size_t limit) const;

  /// The last `lines` lines, of the last `limit` bytes. A last line without its newline counts.
  /// Errors: as `read`.
  [[nodiscard]] runtime::result<log_chunk> tail_lines(std::size_t lines, std::size_t limit) const;

  /// When the bytes from `from` to before `to` were written: ascending parts, the first of which
  /// holds `from`, and the last ends at `to`. What was written while its attempt ran is known to a
  /// quarter of a second, or to an 8192nd of the attempt's age; an attempt that was shorter wrote
  /// all of it at the time of its last byte. None for nothing.
  [[nodiscard]] std::vector<log_time> times(std::uint64_t from, std::uint64_t to) const;

  /// When the last byte was written.
  [[nodiscard]] runtime::wall_time written_at() const;

  /// How many bytes were written in all, and how many of these have been dropped.
  [[nodiscard]] std::uint64_t size() const;
  [[nodiscard]] std::uint64_t dropped() const;

private:
  runtime::unique_fd fd_;
  runtime::unique_fd times_;
};

/// A line of the file of times beside an output: milliseconds since 1970 and the bytes that there
/// were, `1795893463396 000000000000120\n`.
[[nodiscard]] std::string time_line(const log_time& time);

/// The line that stands for bytes that were dropped.
[[nodiscard]] std::string dropped_text(std::uint64_t bytes);

/// `bytes` with U+FFFD for each maximal ill-formed part (Unicode 15, section 3.9), so the answer is
/// UTF-8 of at most three times the size.
[[nodiscard]] std::string to_utf8(std::string_view bytes);

}  // namespace millrace::actors
