// SPDX-License-Identifier: MIT
// The outputs of a task: what its command wrote to the file `$MILLRACE_OUTPUT`.
//
//   key=value            one line
//   key<<END             every line until one that is exactly END
//   first line
//   END
//
// The forms people know from CI systems. Empty lines are skipped; of a key given twice the last
// value counts. Values are taken literally: no quotes, escapes or trimming.
//
// What fits into 64 KiB together goes into the state of the task. Of more, the largest values are
// large outputs: their texts are kept by the executor, as artifacts are, and told by their digests.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/result.h"

namespace millrace::actors {

/// Outputs live in the state of a task, beside 10,000 others in a run: what is there is small by
/// contract. A value of at most 128 bytes always is: 256 with their names are as much.
inline constexpr std::size_t output_bytes_max = std::size_t{64} << 10U;

/// The most that a command writes to `$MILLRACE_OUTPUT`, and to standard output that is an output:
/// it stands in memory while it is read and kept.
inline constexpr std::size_t large_output_bytes_max = std::size_t{16} << 20U;

/// Of the large outputs of an attempt, what its run reads itself, together: it is in rows, too. A
/// list of 10,000 items of 100 bytes.
inline constexpr std::size_t read_output_bytes_max = std::size_t{1} << 20U;

inline constexpr std::size_t output_keys_max = 256;
inline constexpr std::size_t output_key_bytes_max = 128;

/// How a refusal ends of what is larger: it will not be smaller another time.
inline constexpr std::string_view larger_output_hint =
    "leave what is larger in a file, and name it in the `artifacts` of the task";

/// Keys (a letter or `_`, then letters, digits, `_`, `-`) and values in the order of their first
/// appearance.
///
/// Errors: `too_large` over `bytes_max` or the bounds above; `invalid_argument` otherwise: neither
/// form, a bad key, a missing end marker, a NUL byte or not UTF-8. They name the line and the
/// remedy, not the file.
[[nodiscard]] runtime::result<std::vector<std::pair<std::string, std::string>>> parse_outputs(
    std::string_view text, std::size_t bytes_max = output_bytes_max);

/// Which of them, by position, are large: without these the names and values of the others fit into
/// `output_bytes_max`. The largest first, of equal ones the first.
[[nodiscard]] std::vector<std::size_t> large_among(
    const std::vector<std::pair<std::string, std::string>>& outputs);

/// Whether a text that stands for itself, such as what a command wrote to standard output, may be
/// the value of an output. Errors: `too_large` over `bytes_max`; `invalid_argument` for a NUL byte
/// or what is not UTF-8. They name the remedy.
[[nodiscard]] runtime::result<void> check_output_value(std::string_view text,
                                                       std::size_t bytes_max = output_bytes_max);

}  // namespace millrace::actors
