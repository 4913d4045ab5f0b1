// SPDX-License-Identifier: MIT
// Timetable: the nominal times of a schedule, which are known for all of time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/actors/schedule.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/cron.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/time_zone.h"

namespace millrace::actors {

/// The most nominal times that are told at once, by the API and the command line.
inline constexpr std::uint32_t next_firings_max = 1'000;

/// Of each schedule, the firings that are shown; older ones are forgotten.
inline constexpr std::uint32_t firings_kept_max = 100;

/// The nominal times of a schedule. Immutable.
///
/// Threading: any thread.
class timetable {
public:
  /// One without any.
  timetable() = default;

  /// Reads the file of the time zone. Errors: those of `runtime::cron::parse` and
  /// `runtime::load_time_zone`.
  [[nodiscard]] static runtime::result<timetable> of(const schedule_definition& schedule);

  /// The first nominal time after `after`; nothing when there is none any more. Pure.
  [[nodiscard]] std::optional<runtime::wall_time> next(runtime::wall_time after) const;

  /// The first nominal times after `after`, at most so many.
  [[nodiscard]] std::vector<runtime::wall_time> next(runtime::wall_time after,
                                                     std::size_t most) const;

  /// Of `cron`; UTC of `every`.
  [[nodiscard]] const runtime::time_zone& zone() const noexcept { return zone_; }

private:
  std::optional<runtime::cron> cron_;
  runtime::time_zone zone_;
  runtime::duration every_{};
  std::optional<runtime::wall_time> start_;
  std::optional<runtime::wall_time> end_;
};

/// The first instant of a day there, at midnight or where clocks leap over that. Of a day that a
/// place has not had, the first instant after.
[[nodiscard]] runtime::wall_time begin_of(std::chrono::sys_days day,
                                          const runtime::time_zone& zone);

/// An instant as clocks there show it: `2026-01-31T09:00:00+01:00`.
[[nodiscard]] std::string local_text(runtime::wall_time at, const runtime::time_zone& zone);

}  // namespace millrace::actors
