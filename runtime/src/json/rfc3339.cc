// SPDX-License-Identifier: MIT
#include "millrace/runtime/rfc3339.h"

#include <charconv>
#include <chrono>
#include <cstdio>

namespace millrace::runtime {

namespace {

using namespace std::chrono;

// Reads exactly `digits` digits at `at`; -1 when they are not there.
int number_at(std::string_view text, std::size_t at, std::size_t digits) {
  int number = 0;
  if (at + digits > text.size()) {
    return -1;
  }
  for (const char each : text.substr(at, digits)) {
    if (each < '0' || each > '9') {
      return -1;
    }
    number = number * 10 + (each - '0');
  }
  return number;
}

}  // namespace

void append_rfc3339(std::string& out, std::int64_t nanoseconds_of) {
  const sys_time<nanoseconds> time{nanoseconds{nanoseconds_of}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  char text[48];
  const auto size = std::snprintf(
      text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()));
  out.append(text, static_cast<std::size_t>(size));
  const auto fraction = static_cast<int>(clock.subseconds().count());
  if (fraction != 0) {
    const auto digits = fraction % 1'000'000 == 0 ? 3 : fraction % 1'000 == 0 ? 6 : 9;
    std::snprintf(text, sizeof text, ".%09d", fraction);
    out.append(text, static_cast<std::size_t>(digits) + 1);
  }
  out += 'Z';
}

std::optional<std::int64_t> from_rfc3339(std::string_view text) {
  const auto shape = text.size() >= 20 && text[4] == '-' && text[7] == '-' &&
                     (text[10] == 'T' || text[10] == 't') && text[13] == ':' && text[16] == ':';
  if (!shape) {
    return std::nullopt;
  }
  const year_month_day date{year{number_at(text, 0, 4)},
                            month{static_cast<unsigned>(number_at(text, 5, 2))},
                            day{static_cast<unsigned>(number_at(text, 8, 2))}};
  const auto hour = number_at(text, 11, 2);
  const auto minute = number_at(text, 14, 2);
  const auto second = number_at(text, 17, 2);
  // 1678 to 2261: what fits 64 bits of nanoseconds.
  if (!date.ok() || date.year() < year{1678} || date.year() > year{2261} || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 59) {
    return std::nullopt;
  }
  std::int64_t fraction = 0;
  std::size_t at = 19;
  if (text[at] == '.') {
    std::int64_t scale = 100'000'000;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) {
      fraction += (text[at] - '0') * scale;
    }
  }
  std::int64_t offset_minutes = 0;
  const auto zone = text.substr(std::min(at, text.size()));
  if (zone.size() == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':') {
    const auto hours_of = number_at(zone, 1, 2);
    const auto minutes_of = number_at(zone, 4, 2);
    if (hours_of < 0 || hours_of > 23 || minutes_of < 0 || minutes_of > 59) {
      return std::nullopt;
    }
    offset_minutes = std::int64_t{hours_of} * 60 + minutes_of;
    offset_minutes = zone[0] == '-' ? -offset_minutes : offset_minutes;
  } else if (zone != "Z" && zone != "z") {
    return std::nullopt;
  }
  const auto whole = sys_days{date}.time_since_epoch() + hours{hour} + minutes{minute} +
                     seconds{second} - minutes{offset_minutes};
  return duration_cast<nanoseconds>(whole).count() + fraction;
}

}  // namespace millrace::runtime
