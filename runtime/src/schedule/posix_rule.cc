// SPDX-License-Identifier: MIT
#include "schedule/posix_rule.h"

#include <algorithm>

namespace millrace::runtime {

namespace {

using std::chrono::seconds;

class rule_reader {
public:
  explicit rule_reader(std::string_view text) : left_(text) {}

  std::optional<posix_rule> read() {
    posix_rule made;
    if (!read_name() || !read_offset(made.standard)) {
      return std::nullopt;
    }
    if (left_.empty()) {
      return made;
    }
    made.has_saving = true;
    made.saving = made.standard + std::chrono::hours{1};
    if (!read_name() || (!left_.starts_with(',') && !read_offset(made.saving)) ||
        !read_change(made.saving_begins) || !read_change(made.saving_ends) || !left_.empty()) {
      return std::nullopt;
    }
    return made;
  }

private:
  bool take(char c) {
    if (!left_.starts_with(c)) {
      return false;
    }
    left_.remove_prefix(1);
    return true;
  }

  // `CET` or `<+0530>`: at least three characters.
  bool read_name() {
    const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
    const bool quoted = take('<');
    const auto good = [&](char c) {
      return letter(c) || (quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'));
    };
    const auto size = static_cast<std::size_t>(std::find_if_not(left_.begin(), left_.end(), good) -
                                               left_.begin());
    left_.remove_prefix(size);
    return size >= 3 && (!quoted || take('>'));
  }

  bool read_number(int most, int& into) {
    std::size_t digits = 0;
    into = 0;
    while (digits < 3 && digits < left_.size() && left_[digits] >= '0' && left_[digits] <= '9') {
      into = into * 10 + (left_[digits] - '0');
      ++digits;
    }
    left_.remove_prefix(digits);
    return digits > 0 && into <= most;
  }

  // [+-]hh[:mm[:ss]]
  bool read_time(int hours_max, seconds& into) {
    const int sign = take('-') ? -1 : 1;
    if (sign > 0) {
      take('+');
    }
    int hours = 0;
    int minutes = 0;
    int rest = 0;
    if (!read_number(hours_max, hours) || (take(':') && !read_number(59, minutes)) ||
        (take(':') && !read_number(59, rest))) {
      return false;
    }
    into = sign * seconds{hours * 3'600 + minutes * 60 + rest};
    return true;
  }

  bool read_offset(seconds& into) {
    if (!read_time(24, into)) {
      return false;
    }
    into = -into;  // POSIX counts towards the west
    return true;
  }

  // ,date[/time]
  bool read_change(yearly_change& into) {
    if (!take(',')) {
      return false;
    }
    bool good = false;
    if (take('M')) {
      into.kind = yearly_change::day_kind::month_weekday;
      good = read_number(12, into.month) && into.month >= 1 && take('.') &&
             read_number(5, into.week) && into.week >= 1 && take('.') &&
             read_number(6, into.weekday);
    } else if (take('J')) {
      into.kind = yearly_change::day_kind::julian;
      good = read_number(365, into.day) && into.day >= 1;
    } else {
      into.kind = yearly_change::day_kind::zero_based;
      good = read_number(365, into.day);
    }
    return good && (!take('/') || read_time(167, into.time));
  }

  std::string_view left_;
};

}  // namespace

std::chrono::local_seconds yearly_change::in(std::chrono::year year) const {
  using std::chrono::days;
  using std::chrono::local_days;
  const local_days first{year / std::chrono::January / 1};
  switch (kind) {
    case day_kind::julian: {
      const bool past_leap_day = year.is_leap() && day >= 60;  // J60 is always March 1
      return first + days{day - 1 + (past_leap_day ? 1 : 0)} + time;
    }
    case day_kind::zero_based:
      return first + days{day} + time;
    case day_kind::month_weekday:
      break;
  }
  const std::chrono::month which{static_cast<unsigned>(month)};
  const std::chrono::weekday wanted{static_cast<unsigned>(weekday)};
  if (week == 5) {
    return local_days{year / which / wanted[std::chrono::last]} + time;
  }
  return local_days{year / which / wanted[static_cast<unsigned>(week)]} + time;
}

std::optional<posix_rule> parse_posix_rule(std::string_view text) {
  return rule_reader{text}.read();
}

}  // namespace millrace::runtime
