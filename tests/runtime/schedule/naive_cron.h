// SPDX-License-Identifier: MIT
// A cron expression by sets of numbers, and the instants that cronie's loop finds due: once a
// minute it looks at the clock on the wall, and asks how that went on since the minute before.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/time_zone.h"

namespace millrace::runtime {

/// A random expression with its meaning.
class naive_cron {
public:
  std::string text;

  explicit naive_cron(rng& random) {
    minutes_ = random_set(random, 0, 59, minute_star_);
    hours_ = random_set(random, 0, 23, hour_star_);
    days_ = random_set(random, 1, 31, day_star_);
    months_ = random_set(random, 1, 12, month_star_);
    weekdays_ = random_set(random, 0, 6, weekday_star_);
  }

  /// Every minute in (from, to) that is due. Requires: from is a whole minute.
  [[nodiscard]] std::vector<std::chrono::sys_seconds> due(std::chrono::sys_seconds from,
                                                          std::chrono::sys_seconds to,
                                                          const time_zone& zone) const {
    using std::chrono::hours;
    using std::chrono::minutes;
    std::vector<std::chrono::sys_seconds> found;
    const bool elapsed = minute_star_ || hour_star_;
    auto before = zone.to_local(from - hours{4});
    auto repeated_until = before;
    for (auto at = from - hours{4} + minutes{1}; at < to; at += minutes{1}) {
      const auto now = zone.to_local(at);
      const auto leap = now - before - minutes{1};
      bool fits = matches(now);
      if (!elapsed && leap > minutes{0} && leap <= hours{3}) {
        for (auto skipped = before + minutes{1}; skipped < now; skipped += minutes{1}) {
          fits = fits || matches(skipped);
        }
      }
      if (!elapsed && leap < minutes{0} && leap >= -hours{3}) {
        repeated_until = before;
      }
      if (fits && at > from && (elapsed || now > repeated_until)) {
        found.push_back(at);
      }
      before = now;
    }
    return found;
  }

private:
  std::vector<bool> random_set(rng& random, unsigned least, unsigned most, bool& star) {
    std::vector<bool> set(most + 1);
    text += text.empty() ? "" : " ";
    const auto number = [&](unsigned from, unsigned to) {
      return from + static_cast<unsigned>(random.next() % (to - from + 1));
    };
    const auto fill = [&](unsigned low, unsigned high, unsigned step) {
      for (auto each = low; each <= high; each += step) {
        set[each] = true;
      }
    };
    if (const auto kind = random.next() % 5; kind < 2) {
      star = true;
      const auto step = kind == 0 ? 1 : number(1, most - least);
      text += step == 1 ? "*" : "*/" + std::to_string(step);
      fill(least, most, step);
      return set;
    }
    for (auto items = number(1, 3); items > 0; --items) {
      const auto low = number(least, most);
      const auto high = random.next() % 2 == 0 ? low : number(low, most);
      text += std::to_string(low);
      if (high == low) {
        set[low] = true;
      } else {
        const auto step = number(1, high - low);
        text += "-" + std::to_string(high) + "/" + std::to_string(step);
        fill(low, high, step);
      }
      text += items > 1 ? "," : "";
    }
    return set;
  }

  [[nodiscard]] bool matches(std::chrono::local_seconds local) const {
    const auto day = std::chrono::floor<std::chrono::days>(local);
    const std::chrono::year_month_day date{day};
    const auto minute = static_cast<std::size_t>((local - day) / std::chrono::minutes{1});
    const bool by_day = days_[static_cast<unsigned>(date.day())];
    const bool by_weekday = weekdays_[std::chrono::weekday{day}.c_encoding()];
    return minutes_[minute % 60] && hours_[minute / 60] &&
           months_[static_cast<unsigned>(date.month())] &&
           (day_star_ || weekday_star_ ? by_day && by_weekday : by_day || by_weekday);
  }

  std::vector<bool> minutes_;
  std::vector<bool> hours_;
  std::vector<bool> days_;
  std::vector<bool> months_;
  std::vector<bool> weekdays_;
  bool minute_star_ = false;
  bool hour_star_ = false;
  bool day_star_ = false;
  bool month_star_ = false;
  bool weekday_star_ = false;
};

}  // namespace millrace::runtime
