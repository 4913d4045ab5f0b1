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
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/result.h"

namespace millrace::actors {

/// Outputs live in the state of a task, beside 10,000 others in a run: they are small by contract.
inline constexpr std::size_t output_bytes_max = std::size_t{64} << 10U;
inline constexpr std::size_t output_keys_max = 256;
inline constexpr std::size_t output_key_bytes_max = 128;

/// How a refusal ends of what is larger: it will not be smaller another time.
inline constexpr std::string_view larger_output_hint =
    "leave what is larger in a file, and name it in the `artifacts` of the task";

/// Keys (a letter or `_`, then letters, digits, `_`, `-`) and values in the order of their first
/// appearance.
///
/// Errors: `too_large` over the bounds above; `invalid_argument` otherwise: neither form, a bad
/// key, a missing end marker, a NUL byte or not UTF-8. They name the line and the remedy, not the
/// file.
[[nodiscard]] runtime::result<std::vector<std::pair<std::string, std::string>>> parse_outputs(
    std::string_view text);

/// Whether a text that stands for itself, such as what a command wrote to standard output, may be
/// the value of an output. Errors: `too_large` over output_bytes_max; `invalid_argument` for a NUL
/// byte or what is not UTF-8. They name the remedy.
[[nodiscard]] runtime::result<void> check_output_value(std::string_view text);

}  // namespace millrace::actors
