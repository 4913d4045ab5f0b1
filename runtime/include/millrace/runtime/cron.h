// SPDX-License-Identifier: MIT
// Cron expressions: when something recurs, by the clock on some wall.
//
// Five fields, `minute hour day-of-month month day-of-week`, or six with seconds in front. A field
// is `*`, a number, a range `1-5`, either of the last with a step as in `*/15` and `8-18/2`, or a
// list of these. Months and weekdays may be names (`JAN`, `mon`); Sunday is 0 and 7; `L` as a day
// of the month is its last one. `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`,
// `@midnight` and `@hourly` stand for what they say. As in POSIX and cronie, a day matches when
// both day fields do, but when neither starts with `*`, either is enough: `0 0 13 * FRI` is every
// 13th and every Friday.
//
// Where clocks change, the rules are those of cronie (cron(8), "Daylight saving time and other time
// changes"), for changes of up to three hours:
//
// - An expression whose hour or minute field starts with `*` goes by elapsed time: it is due at
//   every instant whose local time matches. In a skipped hour it is not due, in a repeated hour it
//   is due twice.
// - Any other names fixed times. Those that are skipped are due, once for all of them, at the first
//   instant after the gap. Those that occur twice are due the first time only.
//
// A change of more than three hours (Samoa skipped 2011-12-30) is a correction of the calendar: the
// new time counts at once, and what was skipped is not made up for.
#pragma once

#include <bitset>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/time_zone.h"

namespace millrace::runtime {

/// The longest cron expression: every field as a list of all its numbers stays below.
inline constexpr std::size_t cron_bytes_max = 1'024;

/// A parsed expression. Immutable.
///
/// Threading: any thread.
class cron {
public:
  /// Errors: `invalid_argument`; the text names the field, the column from 1 and the remedy. An
  /// expression that no date fits (`0 0 30 2 *`) is refused too.
  [[nodiscard]] static result<cron> parse(std::string_view text);

  /// The text that was parsed, without spaces around it.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

  /// The first instant after `after` that is due in `zone`; a whole second. Nothing when that is
  /// later than what wall_time holds (the year 2262).
  ///
  /// Pure: the same for the same arguments and the same tzdata. Calling it with its own result
  /// walks through every due instant once, forwards.
  /// Cost: bounded by the 40 years that can lie between two dates that fit, which are 480 months
  /// and twice as many changes of clocks: about 20 us then, well below 1 us where a day fits.
  [[nodiscard]] std::optional<wall_time> next(wall_time after, const time_zone& zone) const;

  friend bool operator==(const cron&, const cron&) = default;

private:
  friend class cron_parser;
  cron() = default;

  [[nodiscard]] std::uint32_t days_in(std::chrono::year_month month) const;
  [[nodiscard]] std::optional<std::chrono::seconds> time_from(std::chrono::seconds least) const;
  [[nodiscard]] std::optional<std::chrono::local_seconds> match_in(
      std::chrono::local_seconds from, std::chrono::local_seconds to) const;

  std::string text_;
  std::bitset<60> seconds_;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;     // From 1.
  std::bitset<13> months_;   // From 1.
  std::bitset<7> weekdays_;  // From Sunday, 0.
  bool last_day_ = false;    // `L`.
  bool either_day_ = false;  // Neither day field starts with `*`.
  bool by_elapsed_ = false;  // The hour or minute field starts with `*`.
};

}  // namespace millrace::runtime
