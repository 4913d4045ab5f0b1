// SPDX-License-Identifier: MIT
// When an expression is due: a search through the calendar, span by span of one offset.
#include "millrace/runtime/cron.h"

#include <algorithm>

namespace millrace::runtime {

namespace {

using std::chrono::days;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

// cronie takes a change of the clock for daylight saving time up to here.
constexpr seconds saving_max = std::chrono::hours{3};

// Two dates that fit lie at most 40 years apart: February 29 on a given weekday, over a year such
// as 2100 that has none. One more year for what a change of the clock takes away.
constexpr days search_max{41 * 366};

// The first bit of `set` from `from` on, or its size.
template <std::size_t Size>
std::size_t first_from(const std::bitset<Size>& set, std::size_t from) {
  while (from < Size && !set[from]) {
    ++from;
  }
  return from;
}

local_seconds local_at(sys_seconds at, seconds offset) {
  return local_seconds{at.time_since_epoch() + offset};
}

sys_seconds instant_of(local_seconds local, seconds offset) {
  return sys_seconds{local.time_since_epoch() - offset};
}

}  // namespace

// The days of a month that fit, as bits from 1.
std::uint32_t cron::days_in(std::chrono::year_month month) const {
  const auto last = static_cast<unsigned>((month / std::chrono::last).day());
  const auto first_weekday = std::chrono::weekday{std::chrono::sys_days{month / 1}}.c_encoding();
  std::uint32_t fitting = 0;
  for (unsigned day = 1; day <= last; ++day) {
    const bool by_day = days_[day] || (last_day_ && day == last);
    const bool by_weekday = weekdays_[(first_weekday + day - 1) % 7];
    if (either_day_ ? by_day || by_weekday : by_day && by_weekday) {
      fitting |= std::uint32_t{1} << day;
    }
  }
  return fitting;
}

// The first time of day from `least` on.
std::optional<seconds> cron::time_from(seconds least) const {
  const auto total = static_cast<std::size_t>(least.count());
  auto hour = total / 3'600;
  auto minute = total / 60 % 60;
  auto second = first_from(seconds_, total % 60);
  if (second == seconds_.size()) {
    ++minute;
  }
  minute = first_from(minutes_, minute);
  if (minute == minutes_.size()) {
    ++hour;
  }
  hour = first_from(hours_, hour);
  if (hour == hours_.size()) {
    return std::nullopt;
  }
  if (hour != total / 3'600) {  // a larger unit that moved on starts the smaller ones anew
    minute = first_from(minutes_, 0);
    second = first_from(seconds_, 0);
  } else if (minute != total / 60 % 60) {
    second = first_from(seconds_, 0);
  }
  return seconds{static_cast<std::int64_t>(hour * 3'600 + minute * 60 + second)};
}

// The first local time in [from, to) that fits.
std::optional<local_seconds> cron::match_in(local_seconds from, local_seconds to) const {
  auto day = std::chrono::floor<days>(from);
  auto least = from - day;
  while (day < to) {
    const std::chrono::year_month_day date{day};
    const auto month = date.year() / date.month();
    const auto fitting =
        months_[static_cast<unsigned>(date.month())] ? days_in(month) : std::uint32_t{0};
    for (auto each = static_cast<unsigned>(date.day()); each < 32; ++each) {
      if ((fitting >> each & 1U) != 0) {
        if (const auto time = time_from(least)) {
          const auto found = local_days{month / std::chrono::day{each}} + *time;
          return found < to ? std::optional{found} : std::nullopt;
        }
      }
      least = seconds::zero();
    }
    day = local_days{(month + std::chrono::months{1}) / 1};
  }
  return std::nullopt;
}

std::optional<wall_time> cron::next(wall_time after, const time_zone& zone) const {
  const auto limit = std::chrono::floor<seconds>(wall_time::max());
  auto from = std::chrono::floor<seconds>(after) + seconds{1};
  const auto give_up = std::min(limit, from + search_max);
  while (from <= give_up) {
    const auto span = zone.span_at(from);
    auto least = from;
    if (!by_elapsed_ && span.begin > sys_seconds::min()) {
      const auto before = zone.span_at(span.begin - seconds{1});
      const auto leap = span.offset - before.offset;
      if (leap > seconds::zero() && leap <= saving_max && from == span.begin &&
          match_in(local_at(from, before.offset), local_at(from, span.offset))) {
        return wall_time{from};
      }
      if (leap < seconds::zero() && -leap <= saving_max) {
        least = std::max(least, span.begin - leap);  // until then it was that time before
      }
    }
    const auto end = std::min(span.end, give_up + seconds{1});
    if (const auto found = least < end
                               ? match_in(local_at(least, span.offset), local_at(end, span.offset))
                               : std::nullopt) {
      return wall_time{instant_of(*found, span.offset)};
    }
    from = end;
  }
  return std::nullopt;
}

}  // namespace millrace::runtime
