// SPDX-License-Identifier: MIT
#include "definition/message_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace millrace::actors {
namespace {

// A character and how many bytes of the text it takes; `good` is false for a byte that begins none.
struct decoded {
  char32_t character;
  std::size_t size;
  bool good;
};

decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const auto lead = byte(0);
  const std::size_t size = lead < 0x80   ? 1
                           : lead < 0xC2 ? 0
                           : lead < 0xE0 ? 2
                           : lead < 0xF0 ? 3
                           : lead < 0xF5 ? 4
                                         : 0;
  if (size == 0 || size > text.size()) {
    return {lead, 1, false};
  }
  char32_t character = size == 1 ? lead : lead & (0x7FU >> size);
  for (std::size_t at = 1; at < size; ++at) {
    if ((byte(at) & 0xC0U) != 0x80U) {
      return {lead, 1, false};
    }
    character = (character << 6U) + (byte(at) & 0x3FU);
  }
  return {character, size, true};
}

// Controls, and the format characters that hide or reorder what stands beside them (Unicode 15,
// general categories Cc, Cf, Zl, Zp, as far as fonts do not draw them).
bool is_unseen(char32_t c) {
  struct range {
    char32_t first;
    char32_t last;
  };
  constexpr std::array ranges{range{0x00, 0x1F},     range{0x7F, 0x9F},      range{0xAD, 0xAD},
                              range{0x61C, 0x61C},   range{0x180E, 0x180E},  range{0x200B, 0x200F},
                              range{0x2028, 0x202E}, range{0x2060, 0x206F},  range{0xFEFF, 0xFEFF},
                              range{0xFFF9, 0xFFFB}, range{0xE0000, 0xE0FFF}};
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const range& each) { return c >= each.first && c <= each.last; });
}

}  // namespace

std::size_t whole_bytes(std::string_view text, std::size_t bytes_max) {
  auto size = std::min(text.size(), bytes_max);
  while (size > 0 && size < text.size() &&
         (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) {
    --size;
  }
  return size;
}

std::string first_line(std::string_view text) {
  constexpr std::size_t shown_bytes = 60;
  const auto line = text.substr(0, text.find('\n'));
  if (line.size() == text.size() && line.size() <= shown_bytes) {
    return std::string{line};
  }
  return std::string{line.substr(0, whole_bytes(line, shown_bytes))} + "...";
}

std::string one_line(std::string_view text, std::size_t bytes_max) {
  constexpr std::string_view more = "...";
  const bool cut = text.size() > bytes_max;
  std::string made{cut ? text.substr(0, whole_bytes(text, bytes_max - more.size())) : text};
  for (auto& each : made) {
    each = static_cast<unsigned char>(each) < 0x20 || each == 0x7F ? ' ' : each;
  }
  return cut ? made.append(more) : made;
}

std::string visible(std::string_view text) {
  std::string made;
  while (!text.empty()) {
    const auto next = decode(text);
    if (next.good && !is_unseen(next.character)) {
      made += text.substr(0, next.size);
    } else {
      std::array<char, 12> escape{};
      std::snprintf(escape.data(), escape.size(), next.good ? "\\u%04x" : "\\x%02x",
                    static_cast<unsigned>(next.character));
      made += escape.data();
    }
    text.remove_prefix(next.size);
  }
  return made;
}

std::string pointer_step(std::string_view key) {
  std::string step{"/"};
  for (const char c : key) {
    step += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return step;
}

}  // namespace millrace::actors
