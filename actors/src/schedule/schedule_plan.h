// SPDX-License-Identifier: MIT
// What of a schedule is due, and what becomes of it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "millrace/actors/timetable.h"

namespace millrace::actors {

/// The most firings that are made up for after one outage.
inline constexpr std::size_t catchup_firings_max = 1'000;
/// The most firings of one schedule that wait for earlier runs.
inline constexpr std::size_t waiting_firings_max = 1'000;
/// How many missed ones are counted; what was missed before these is passed over.
inline constexpr std::size_t missed_count_max = 10'000;
/// A firing that is later than this was missed; as of reminders.
inline constexpr runtime::duration kept_within = std::chrono::minutes{1};

/// Decides about the nominal times of one schedule.
///
/// `key` names the schedule in its cluster: jitter differs by it. `through` is the latest nominal
/// time that has been seen to; it only grows, so nothing fires twice, wherever the clock goes.
class schedule_plan {
public:
  schedule_plan(const schedule_definition& schedule, const timetable& times, std::string_view key)
      : schedule_(schedule), times_(times), key_(key) {}

  struct due {
    std::vector<runtime::wall_time> firings;  ///< Nominal times to be fired now, in order.
    std::size_t made_up = 0;                  ///< So many of these, the first, were missed.
    std::uint64_t missed = 0;                 ///< How many are dropped.
    std::optional<runtime::wall_time> last_missed;
    runtime::wall_time through;               ///< From now on.
    std::optional<runtime::wall_time> again;  ///< When to ask again; nothing: never.
  };

  /// At most `most` firings; when there are more, `again` is `now`. Cost: bounded, whatever lies
  /// between `through` and `now`: some ten thousand steps of the timetable.
  [[nodiscard]] due at(runtime::wall_time through, runtime::wall_time now, std::size_t most) const;

  /// A nominal time with its jitter: the same for the same schedule and time, never before it, and
  /// before the next nominal time.
  [[nodiscard]] runtime::wall_time with_jitter(runtime::wall_time nominal) const;

private:
  [[nodiscard]] std::vector<runtime::wall_time> between(runtime::wall_time after,
                                                        runtime::wall_time last,
                                                        std::size_t most) const;
  [[nodiscard]] std::vector<runtime::wall_time> latest(runtime::wall_time after,
                                                       runtime::wall_time last,
                                                       std::size_t count) const;
  [[nodiscard]] bool is_made_up_for(runtime::wall_time nominal, runtime::wall_time now,
                                    bool is_latest) const;

  const schedule_definition& schedule_;
  const timetable& times_;
  std::string_view key_;
};

/// What becomes of a firing.
enum class firing_fate : std::uint8_t {
  start,    ///< Its run begins.
  wait,     ///< It waits until the runs before it have ended.
  replace,  ///< It waits, alone, and the runs before it are cancelled.
  skip,     ///< It is dropped.
};

/// Of a firing that finds so many runs that have not ended, and firings that wait.
[[nodiscard]] firing_fate fate_of(overlap_policy policy, std::size_t running, std::size_t waiting);

/// The same for the same texts and number, in every version.
[[nodiscard]] std::uint64_t stable_hash(std::string_view text, std::int64_t number);

}  // namespace millrace::actors
