// SPDX-License-Identifier: MIT
#include "json/base64.h"

namespace millrace::runtime {

namespace {
constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

void append_base64(std::string& out, std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](std::size_t offset) {
      return at + offset < bytes.size() ? static_cast<unsigned char>(bytes[at + offset]) : 0U;
    };
    const auto group = byte(0) << 16U | byte(1) << 8U | byte(2);
    out += alphabet[group >> 18U & 63U];
    out += alphabet[group >> 12U & 63U];
    out += at + 1 < bytes.size() ? alphabet[group >> 6U & 63U] : '=';
    out += at + 2 < bytes.size() ? alphabet[group & 63U] : '=';
  }
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  std::string bytes;
  for (std::size_t at = 0; at < text.size(); at += 4) {
    const auto last = at + 4 == text.size();
    const auto padding = !last ? 0U : text[at + 2] == '=' ? 2U : text[at + 3] == '=' ? 1U : 0U;
    unsigned group = 0;
    for (std::size_t offset = 0; offset < 4; ++offset) {
      const auto digit = offset >= 4 - padding ? 0 : alphabet.find(text[at + offset]);
      if (digit == std::string_view::npos || (offset >= 4 - padding && text[at + offset] != '=')) {
        return std::nullopt;
      }
      group = group << 6U | static_cast<unsigned>(digit);
    }
    bytes += static_cast<char>(group >> 16U & 255U);
    if (padding < 2) {
      bytes += static_cast<char>(group >> 8U & 255U);
    }
    if (padding < 1) {
      bytes += static_cast<char>(group & 255U);
    }
  }
  return bytes;
}

}  // namespace millrace::runtime
