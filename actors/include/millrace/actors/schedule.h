// SPDX-License-Identifier: MIT
// Schedules: when a pipeline is to run by itself, and what becomes of a firing that comes while an
// earlier run goes on, or that nobody could see to in time.
//
// A firing is known by its *nominal* time: the time that the schedule names, before jitter and
// whatever delays it. Nominal times depend on the schedule alone, not on when it was applied or
// last fired: those of `every` lie on a grid from `start`, or from 1970-01-01T00:00:00Z.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/actors/value.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/histogram.h"

namespace millrace::actors {

/// The most schedules of one pipeline: more are a matter for parameters.
inline constexpr std::size_t definition_schedules_max = 100;

/// The shortest `every`, which is also the resolution of cron.
inline constexpr runtime::duration schedule_every_min = std::chrono::seconds{1};

/// What becomes of a firing while runs that the schedule started have not ended.
enum class overlap_policy : std::uint8_t {
  allow,    ///< It starts beside them.
  skip,     ///< It is dropped.
  queue,    ///< It waits for its turn: one after the other.
  replace,  ///< They are cancelled, and it starts when they have ended.
};

/// `allow`, `skip`, `queue`, `replace`.
[[nodiscard]] std::string_view to_string(overlap_policy policy) noexcept;

/// What becomes of firings that passed while nothing could see to them.
enum class catchup_policy : std::uint8_t {
  none,  ///< They are dropped.
  last,  ///< The latest of them is made up for.
  all,   ///< Each is made up for, in order.
};

/// `none`, `last`, `all`.
[[nodiscard]] std::string_view to_string(catchup_policy policy) noexcept;

/// One schedule of a pipeline. One from the loader is valid: it has `cron` or `every`, and its
/// parameters fit those of the pipeline.
struct schedule_definition {
  std::string name = "default";   ///< [a-z0-9][a-z0-9_.-]{0,62}; unique in the pipeline.
  std::string cron;               ///< As docs/reference/cron.md has it; empty: `every` counts.
  runtime::duration every{};      ///< At least `schedule_every_min`; 0: `cron` counts.
  std::string time_zone = "UTC";  ///< Of `cron`; an IANA name.
  std::optional<runtime::wall_time> start;  ///< No nominal time is before it.
  std::optional<runtime::wall_time> end;    ///< No nominal time is after it.
  runtime::duration jitter{};               ///< By how much chance may delay a firing.
  overlap_policy overlap = overlap_policy::skip;
  catchup_policy catchup = catchup_policy::last;
  std::optional<runtime::duration> catchup_window;  ///< What is later than this is not made up for.
  std::map<std::string, value, std::less<>> params;  ///< Of its runs.
  bool paused = false;                               ///< It begins paused.

  friend bool operator==(const schedule_definition&, const schedule_definition&) = default;
};

/// The canonical form: an element of `schedule` in a definition, as JSON.
[[nodiscard]] std::string to_json(const schedule_definition& schedule);

/// What the schedules and watches that a process has had count since it started.
struct schedule_counts {
  std::uint64_t fired = 0;    ///< Runs that were begun.
  std::uint64_t skipped = 0;  ///< Firings that were dropped, since earlier runs had not ended.
  std::uint64_t missed = 0;   ///< Firings that were dropped, since nobody could see to them.
  std::uint64_t checks_succeeded = 0;  ///< Checks of watches.
  std::uint64_t checks_failed = 0;     ///< Those that told no versions.
  std::uint64_t versions_found = 0;    ///< New ones: runs that they start.
  runtime::histogram late;             ///< From the time of a firing, with jitter, to its run.
};

}  // namespace millrace::actors
