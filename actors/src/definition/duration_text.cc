// SPDX-License-Identifier: MIT
#include "millrace/actors/duration_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "millrace/runtime/assert.h"

namespace millrace::actors {
namespace {

struct unit {
  std::string_view name;
  std::int64_t milliseconds;
};

constexpr std::array units{unit{"d", 86'400'000}, unit{"h", 3'600'000}, unit{"m", 60'000},
                           unit{"s", 1'000}, unit{"ms", 1}};

struct foreign_unit {
  std::string_view word;
  std::string_view ours;
};

constexpr std::array foreign_units{
    foreign_unit{"sec", "s"},     foreign_unit{"secs", "s"},    foreign_unit{"second", "s"},
    foreign_unit{"seconds", "s"}, foreign_unit{"min", "m"},     foreign_unit{"mins", "m"},
    foreign_unit{"minute", "m"},  foreign_unit{"minutes", "m"}, foreign_unit{"hr", "h"},
    foreign_unit{"hrs", "h"},     foreign_unit{"hour", "h"},    foreign_unit{"hours", "h"},
    foreign_unit{"day", "d"},     foreign_unit{"days", "d"},    foreign_unit{"H", "h"},
    foreign_unit{"M", "m"},       foreign_unit{"S", "s"},       foreign_unit{"msec", "ms"},
    foreign_unit{"millis", "ms"}};

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

duration_parse refusal(std::string_view text, std::string hint) {
  return {std::nullopt, "`" + std::string{text} + "` is not a duration", std::move(hint)};
}

// What `text` was probably meant to be; empty when there is no good guess.
std::string guess(std::string_view text) {
  std::string fixed;
  std::string digits;
  std::string word;
  const auto take = [&] {
    if (digits.empty() && word.empty()) {
      return true;
    }
    for (const auto& each : foreign_units) {
      if (word == each.word) {
        word = each.ours;
        break;
      }
    }
    fixed += digits + word;
    const bool good = !digits.empty() && !word.empty();
    digits.clear();
    word.clear();
    return good;
  };
  if (text.starts_with("PT")) {
    text.remove_prefix(2);
  }
  for (const char c : text) {
    if (c == ' ') {
      continue;
    }
    if (is_digit(c)) {
      if (!word.empty() && !take()) {
        return {};
      }
      digits += c;
    } else {
      word += c;
    }
  }
  if (!take() || fixed == text || !parse_duration(fixed).length) {
    return {};
  }
  return fixed;
}

}  // namespace

duration_parse parse_duration(std::string_view text) {
  constexpr std::string_view example = "write it like `90s`, `5m`, `1h30m` or `250ms`";
  if (text == "0") {
    return {runtime::duration::zero(), {}, {}};
  }
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    std::int64_t count = 0;
    const auto* begin = text.data() + at;
    const auto* limit = text.data() + text.size();
    if (!is_digit(*begin)) {
      break;
    }
    const auto [after, failure] = std::from_chars(begin, limit, count);
    if (failure != std::errc{}) {
      return refusal(text, "the longest duration is ten years");
    }
    std::string_view rest{after, static_cast<std::size_t>(limit - after)};
    const std::string_view word = rest.substr(
        0,
        static_cast<std::size_t>(std::find_if(rest.begin(), rest.end(), is_digit) - rest.begin()));
    if (word.empty()) {
      return at == 0 ? refusal(text, "it needs a unit: write `" + std::string{text} + "s`")
                     : refusal(text, std::string{example});
    }
    std::size_t found = 0;
    while (found < units.size() && units[found].name != word) {
      ++found;
    }
    if (found == units.size()) {
      break;
    }
    if (found < next_unit) {
      return refusal(text, "each unit may occur once, the largest first: `1h30m`");
    }
    next_unit = found + 1;
    constexpr auto limit_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(duration_max).count();
    if (count > limit_ms / units[found].milliseconds ||
        (total += count * units[found].milliseconds) > limit_ms) {
      return refusal(text, "the longest duration is ten years");
    }
    at = static_cast<std::size_t>(after - text.data()) + word.size();
  }
  if (at < text.size() || text.empty()) {
    const auto better = guess(text);
    return refusal(text, better.empty() ? std::string{example} : "write `" + better + "`");
  }
  return {std::chrono::milliseconds{total}, {}, {}};
}

std::string format_duration(runtime::duration length) {
  MILLRACE_ASSERT(length >= runtime::duration::zero());
  auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
  std::string text;
  for (const auto& each : units) {
    if (each.name != "d" && rest >= each.milliseconds) {
      text += std::to_string(rest / each.milliseconds);
      text += each.name;
      rest %= each.milliseconds;
    }
  }
  return text.empty() ? "0" : text;
}

}  // namespace millrace::actors
