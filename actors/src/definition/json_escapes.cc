// SPDX-License-Identifier: MIT
#include "definition/json_escapes.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

namespace millrace::actors {

namespace {

constexpr std::size_t escape_bytes = 6;  // \uXXXX

// The UTF-16 unit that an escape at the start of `text` stands for.
std::optional<std::uint32_t> unit_of(std::string_view text) {
  std::uint32_t unit = 0;
  if (text.size() < escape_bytes || !text.starts_with("\\u") ||
      std::from_chars(text.data() + 2, text.data() + escape_bytes, unit, 16).ptr !=
          text.data() + escape_bytes) {
    return std::nullopt;
  }
  return unit;
}

// The character of two escapes at the start of `text` (The Unicode Standard, section 3.9, D91).
std::optional<std::uint32_t> pair_of(std::string_view text) {
  const auto high = unit_of(text);
  const auto low = text.size() > escape_bytes ? unit_of(text.substr(escape_bytes)) : std::nullopt;
  if (!high || !low || *high < 0xD800 || *high > 0xDBFF || *low < 0xDC00 || *low > 0xDFFF) {
    return std::nullopt;
  }
  return 0x10000 + ((*high - 0xD800) << 10U) + (*low - 0xDC00);
}

}  // namespace

bool has_surrogates(std::string_view text) {
  for (auto at = text.find("\\u"); at != std::string_view::npos; at = text.find("\\u", at + 1)) {
    if (pair_of(text.substr(at))) {
      return nlohmann::json::accept(text);
    }
  }
  return false;
}

std::string join_surrogates(std::string_view text) {
  std::string joined;
  joined.reserve(text.size());
  bool in_text = false;
  std::size_t won = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (const auto character = in_text ? pair_of(text.substr(at)) : std::nullopt) {
      std::array<char, 11> escape{};
      std::snprintf(escape.data(), escape.size(), "\\U%08x", *character);
      joined += escape.data();
      won += 2 * escape_bytes - (escape.size() - 1);
      at += 2 * escape_bytes;
      continue;
    }
    const std::size_t size = in_text && text[at] == '\\' ? 2 : 1;
    joined += text.substr(at, size);
    if (size == 1 && text[at] == '"') {
      in_text = !in_text;
      joined.append(won, ' ');
      won = 0;
    }
    at += size;
  }
  return joined;
}

}  // namespace millrace::actors
