// SPDX-License-Identifier: MIT
// Log merge: the lines of several outputs in the order in which they were written.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "millrace/actors/process_log.h"
#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// A longer line counts as several. Where many outputs are read side by side a line is shorter: all
/// of them together hold about `merged_bytes_max`, but 4 KiB each.
inline constexpr std::size_t merged_line_bytes_max = std::size_t{1} << 20U;
inline constexpr std::size_t merged_bytes_max = std::size_t{8} << 20U;

/// Which of the outputs of a `log_merge`, from 0 in the order of `add`.
using merged_output = std::size_t;

struct merged_line {
  merged_output output = 0;
  runtime::wall_time at;  ///< When its first byte was written.
  std::string text;       ///< Without its newline.
};

/// Asks for the outputs piece by piece, each only when what comes next depends on it. Lines of one
/// output keep their order; of lines of the same time that of the output that was added first is
/// the first.
///
/// Threading: one thread. Cost: in memory, a piece and the beginning of a line for each output that
/// has begun and not ended; in time, of a line, the logarithm of the outputs.
class log_merge {
public:
  /// One that was begun no earlier than `begins`. One that is added when lines behind that have
  /// been taken comes late.
  merged_output add(runtime::wall_time begins);

  /// Whose next piece is wanted. Nothing: there is a line, or there are no more.
  [[nodiscard]] std::optional<merged_output> needs() const;

  /// The piece after the last one. Requires: it has some bytes, or some are dropped; `times` are
  /// those of its bytes, or empty: then they were written at `at`.
  void give(merged_output which, const log_chunk& piece, const std::vector<log_time>& times,
            runtime::wall_time at);
  /// There are no more. A last line without a newline counts.
  void end(merged_output which);

  /// The next one, if nothing is needed before it.
  std::optional<merged_line> next_line();

  /// How large the next piece may be, 64 KiB at most.
  [[nodiscard]] std::size_t piece_bytes_max() const;

private:
  struct span {
    std::size_t bytes;
    runtime::wall_time at;
  };
  struct output {
    std::string text;  // from `taken` on, not yet part of a line that was taken
    std::size_t taken = 0;
    std::size_t looked = 0;    // no newline before here
    std::deque<span> spans;    // of all of that
    runtime::wall_time front;  // of the next line, or no later
    bool begun = false;
    bool ended = false;
  };
  [[nodiscard]] std::size_t share(std::size_t most) const;
  [[nodiscard]] std::optional<std::size_t> line_bytes(const output& of) const;
  void append(output& to, std::string_view text, runtime::wall_time at);
  void place(merged_output which);

  std::vector<output> outputs_;
  std::set<std::pair<runtime::wall_time, merged_output>> order_;  // those that are not over
  std::size_t open_ = 0;                                          // have begun and not ended
};

}  // namespace millrace::actors
