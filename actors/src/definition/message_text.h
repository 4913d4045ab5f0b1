// SPDX-License-Identifier: MIT
// Text of others inside messages, reasons and labels: cut between characters, on one line, with
// nothing in it that cannot be seen.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace millrace::actors {

/// The most bytes up to `bytes_max` that end with a whole character.
[[nodiscard]] std::size_t whole_bytes(std::string_view text, std::size_t bytes_max);

/// The beginning of the first line, with `...` for what is left out.
[[nodiscard]] std::string first_line(std::string_view text);

/// The text on one line: control characters become spaces, and `...` stands for what is over
/// `bytes_max`.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t bytes_max);

/// The text with what cannot be seen, or turns around what stands beside it, written as `\u202e`,
/// and each byte that is no UTF-8 as `\xff`.
[[nodiscard]] std::string visible(std::string_view text);

/// A key as a step of a JSON pointer (RFC 6901), with its slash.
[[nodiscard]] std::string pointer_step(std::string_view key);

}  // namespace millrace::actors
