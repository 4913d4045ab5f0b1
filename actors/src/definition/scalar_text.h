// SPDX-License-Identifier: MIT
// Which texts are numbers, and which are so in one system and not in the next: one rule for YAML,
// for parameters on the command line and for literals in expressions.
#pragma once

#include <optional>
#include <string_view>
#include <system_error>

namespace millrace::actors {

/// -?(0|[1-9][0-9]*): no octal, no separators, no plus.
[[nodiscard]] bool is_integer_text(std::string_view text);

/// Decimal without leading zeros, with or without a fraction or an exponent; nothing for another
/// text, or when reading ends otherwise than `expected`.
[[nodiscard]] std::optional<double> float_of(std::string_view text, std::errc expected = {});

/// Whether the text is a number that neither an integer nor a double of 64 bits can hold.
[[nodiscard]] bool is_beyond_numbers(std::string_view text);

/// Whether a plain scalar means different things to different readers: a boolean of YAML 1.1, an
/// octal, hexadecimal or binary number, infinity, a version number such as 3.10 that would lose
/// its zero.
[[nodiscard]] bool is_ambiguous(std::string_view text);

}  // namespace millrace::actors
