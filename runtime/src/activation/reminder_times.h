// SPDX-License-Identifier: MIT
// Reminder times: when a stored reminder fires next, and which of its times were missed.
//
// Pure, but for the time zones, which are handed in.
#pragma once

#include <functional>
#include <string>

#include "millrace/runtime/actor.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/time_zone.h"

namespace millrace::runtime::detail {

/// A reminder as it lies in its row.
struct stored_reminder {
  wall_time due{};
  duration every{};
  std::string cron = {};
  std::string time_zone = {};
  runtime::catch_up catch_up = runtime::catch_up::once;
  std::uint64_t number = 0;  ///< Tells the times apart at which it was set; not in the row.

  [[nodiscard]] bool repeats() const noexcept { return every > duration{} || !cron.empty(); }
};

/// Gives a zone by its name.
using zone_source = std::function<result<time_zone>(const std::string&)>;

/// The reminder that a schedule asks for at `now`. Errors: `invalid_argument`, `not_found` (zone).
[[nodiscard]] result<stored_reminder> scheduled(const reminder_schedule& when, wall_time now,
                                                const zone_source& zones);

/// Whether its due time has been missed by so much that `catch_up::skip` drops it.
[[nodiscard]] bool is_missed(const stored_reminder& one, wall_time now, const zone_source& zones);

/// The time after the one that is due, seen at `now`; the end of time when there is none.
/// Requires: it repeats and is due.
[[nodiscard]] wall_time next_due(const stored_reminder& one, wall_time now,
                                 const zone_source& zones);

}  // namespace millrace::runtime::detail
