// SPDX-License-Identifier: MIT
// Cursors of the lists that a silo gives: a place in storage, as digits.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::runtime::detail {

[[nodiscard]] inline std::string hex_of(std::string_view bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const char each : bytes) {
    const auto byte = static_cast<unsigned char>(each);
    text += {digits[byte >> 4U], digits[byte & 0xFU]};
  }
  return text;
}

[[nodiscard]] inline error bad_cursor() {
  return {errc::invalid_argument,
          "the cursor is none that this list gave; leave it out to begin anew"};
}

/// So many bytes from twice as many digits. Errors: `bad_cursor`.
[[nodiscard]] inline result<std::string> bytes_of(std::string_view hex, std::size_t size) {
  std::string bytes;
  for (std::size_t at = 0; at + 1 < hex.size(); at += 2) {
    unsigned byte = 0;
    const auto* end = hex.data() + at + 2;
    if (const auto [after, failure] = std::from_chars(hex.data() + at, end, byte, 16);
        failure != std::errc{} || after != end) {
      return bad_cursor();
    }
    bytes += static_cast<char>(byte);
  }
  if (hex.size() != 2 * size) {
    return bad_cursor();
  }
  return bytes;
}

}  // namespace millrace::runtime::detail
