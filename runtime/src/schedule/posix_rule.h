// SPDX-License-Identifier: MIT
// The footer of a TZif file: daylight saving by rule, in the form of POSIX TZ with the extensions
// of RFC 8536, section 3.3.1 (hours from -167 to 167).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::runtime {

/// A day of every year, and the local time on it (or days before or after) when clocks change.
struct yearly_change {
  enum class day_kind : std::uint8_t {
    julian,        ///< `J60`: 1 to 365, February 29 is never counted.
    zero_based,    ///< `59`: 0 to 365, February 29 is counted.
    month_weekday  ///< `M3.2.0`: month, week 1 to 5 (5 is the last), weekday from Sunday 0.
  };
  day_kind kind = day_kind::julian;
  int day = 1;  ///< Of `julian` and `zero_based`.
  int month = 1;
  int week = 1;
  int weekday = 0;
  std::chrono::seconds time = std::chrono::hours{2};  ///< From local midnight of that day.

  /// The change of `year` in local time of before the change.
  [[nodiscard]] std::chrono::local_seconds in(std::chrono::year year) const;
};

/// `CET-1CEST,M3.5.0,M10.5.0/3`.
struct posix_rule {
  std::chrono::seconds standard{};  ///< Local time less UTC; POSIX writes it with the other sign.
  bool has_saving = false;
  std::chrono::seconds saving{};  ///< The offset while daylight saving is in force.
  yearly_change saving_begins;    ///< In standard time.
  yearly_change saving_ends;      ///< In daylight saving time.
};

/// Nothing when the text is no such rule. Pure.
[[nodiscard]] std::optional<posix_rule> parse_posix_rule(std::string_view text);

}  // namespace millrace::runtime
