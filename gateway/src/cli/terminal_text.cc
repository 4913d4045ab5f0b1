// SPDX-License-Identifier: MIT
#include "cli/terminal_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <clocale>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <cwchar>
#include <optional>

#include "millrace/actors/process_log.h"

namespace millrace::gateway::cli {

namespace {

// The character at the front of a UTF-8 text, which it takes away.
char32_t take(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  char32_t code = size == 1 ? lead : lead & (0x7fU >> size);
  for (std::size_t at = 1; at < size; ++at) {
    code = code << 6U | (static_cast<unsigned char>(text[at]) & 0x3fU);
  }
  text.remove_prefix(size);
  return code;
}

bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

std::string cleaned(std::string_view text, std::string_view kept) {
  const auto whole = actors::to_utf8(text);
  std::string out;
  for (std::string_view rest{whole}; !rest.empty();) {
    const auto from = rest;
    const auto code = take(rest);
    const auto stays = !is_control(code) || kept.find(from.front()) != std::string_view::npos;
    out += stays ? from.substr(0, from.size() - rest.size()) : " ";
  }
  return out;
}

// The rules of UTF-8 whatever locale the user has: the program sets none.
class utf8_rules {
public:
  utf8_rules() : rules_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (rules_ != nullptr) {
      before_ = ::uselocale(rules_);
    }
  }
  utf8_rules(const utf8_rules&) = delete;
  utf8_rules& operator=(const utf8_rules&) = delete;
  ~utf8_rules() {
    if (rules_ != nullptr) {
      ::uselocale(before_);
      ::freelocale(rules_);
    }
  }

private:
  locale_t rules_;
  locale_t before_ = nullptr;
};

}  // namespace

std::string printable(std::string_view text) {
  return cleaned(text, {});
}

std::string printable_lines(std::string_view text) {
  return cleaned(text, "\n\t");
}

std::size_t columns_of(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; })) {
    return text.size();
  }
  const utf8_rules rules;
  std::size_t columns = 0;
  while (!text.empty()) {
    const auto width = ::wcwidth(static_cast<wchar_t>(take(text)));
    columns += width < 0 ? 1 : static_cast<std::size_t>(width);  // one that it does not know
  }
  return columns;
}

std::string shortened(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) {
    return std::string{text};
  }
  std::size_t end = 0;
  std::size_t taken = 0;
  for (auto rest = text; !rest.empty();) {
    const auto from = rest;
    take(rest);
    taken += columns_of(from.substr(0, from.size() - rest.size()));
    if (taken >= columns) {
      break;
    }
    end = text.size() - rest.size();
  }
  return std::string{text.substr(0, end)} + "\u2026";
}

namespace {

// Seconds since 1970; nothing for what is no time of the API.
std::optional<double> seconds_of(const std::string& text) {
  std::tm time{};
  const auto* const rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (rest == nullptr) {
    return std::nullopt;
  }
  const auto fraction =
      *rest == '.' ? std::strtod(("0" + std::string{rest}).c_str(), nullptr) : 0.0;
  return static_cast<double>(::timegm(&time)) + fraction;
}

}  // namespace

std::string time_between(const std::string& from, const std::string& to, runtime::wall_time now) {
  const auto start = seconds_of(from);
  if (!start) {
    return {};
  }
  const auto until =
      seconds_of(to).value_or(std::chrono::duration<double>(now.time_since_epoch()).count());
  const auto length = std::max(until - *start, 0.0);
  const auto whole = static_cast<std::int64_t>(length);
  constexpr std::int64_t minute = 60;
  constexpr std::int64_t hour = 60 * minute;
  constexpr std::int64_t day = 24 * hour;
  return whole < minute ? fmt::format("{:.1f}s", length)
         : whole < hour ? fmt::format("{}m{:02}s", whole / minute, whole % minute)
         : whole < day  ? fmt::format("{}h{:02}m", whole / hour, whole % hour / minute)
                        : fmt::format("{}d{:02}h", whole / day, whole % day / hour);
}

std::string local_time(const std::string& text) {
  std::tm time{};
  const auto* const rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (rest == nullptr || text.back() != 'Z') {
    return text;
  }
  const auto seconds = ::timegm(&time);
  std::tm local{};
  char shown[sizeof "-2147483648-01-31T08:00:00+0000"];
  if (::localtime_r(&seconds, &local) == nullptr ||
      std::strftime(shown, sizeof shown, "%FT%T%z", &local) < 5) {
    return text;
  }
  std::string made{shown};
  constexpr std::string_view no_offset = "+0000";
  return made.ends_with(no_offset) ? made.substr(0, made.size() - no_offset.size()) + "Z"
                                   : made.insert(made.size() - 2, ":");
}

std::string bytes_text(double bytes) {
  for (const auto* unit : {"B", "KiB", "MiB"}) {
    if (bytes < 1'024) {
      return fmt::format("{:.{}f} {}", bytes, *unit == 'B' || bytes >= 100 ? 0 : 1, unit);
    }
    bytes /= 1'024;
  }
  return fmt::format("{:.1f} GiB", bytes);
}

}  // namespace millrace::gateway::cli
