// SPDX-License-Identifier: MIT
// Text of others (a task's words, a name, a server's message) on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "millrace/runtime/clock.h"

namespace millrace::gateway::cli {

/// The text as one line that a terminal only shows: a space for every control character (C0, DEL,
/// and C1, which some terminals take for the start of a command), U+FFFD for what is not UTF-8.
[[nodiscard]] std::string printable(std::string_view text);

/// The same, but line ends and tabs stay.
[[nodiscard]] std::string printable_lines(std::string_view text);

/// How many columns a terminal gives the text: none to combining characters, two to wide ones, as
/// the C library's `wcwidth` has it. Requires: what `printable` made.
[[nodiscard]] std::size_t columns_of(std::string_view text);

/// The text if it has no more columns than that, else its beginning and an ellipsis. Requires: as
/// `columns_of`; columns >= 1.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t columns);

/// A time of the API (RFC 3339 in UTC) in whole seconds of the local time zone, with its offset;
/// other text unchanged.
[[nodiscard]] std::string local_time(const std::string& text);

/// How long it is between two times of the API, as `0.4s`, `1m05s`, `2h03m` or `3d04h`; until `now`
/// if there is no second one; empty if there is no first one.
[[nodiscard]] std::string time_between(const std::string& from, const std::string& to,
                                       runtime::wall_time now);

/// As `512 B`, `1.5 MiB` or `120 MiB`.
[[nodiscard]] std::string bytes_text(double bytes);

}  // namespace millrace::gateway::cli
