// SPDX-License-Identifier: MIT
#include "schedule/schedule_plan.h"

#include <algorithm>

namespace millrace::actors {

using runtime::duration;
using runtime::wall_time;

std::vector<wall_time> schedule_plan::between(wall_time after, wall_time last,
                                              std::size_t most) const {
  std::vector<wall_time> found;
  for (auto at = times_.next(after); at && *at <= last && found.size() < most;
       at = times_.next(*at)) {
    found.push_back(*at);
  }
  return found;
}

// The latest `count`. The search goes down to a second, in which there is at most one.
// Requires: there are more.
std::vector<wall_time> schedule_plan::latest(wall_time after, wall_time last,
                                             std::size_t count) const {
  auto low = after;  // more than `count` come after it
  auto high = last;
  while (high - low > schedule_every_min) {
    const auto middle = low + (high - low) / 2;
    (between(middle, last, count + 1).size() > count ? low : high) = middle;
  }
  return between(high, last, count);
}

bool schedule_plan::is_made_up_for(wall_time nominal, wall_time now, bool is_latest) const {
  return (schedule_.catchup == catchup_policy::all ||
          (is_latest && schedule_.catchup == catchup_policy::last)) &&
         now - nominal <= schedule_.catchup_window.value_or(duration::max());
}

schedule_plan::due schedule_plan::at(wall_time through, wall_time now, std::size_t most) const {
  const auto kept_max = schedule_.catchup == catchup_policy::all ? catchup_firings_max : 1;
  due made;
  made.through = through;
  auto found = between(through, now, missed_count_max + 1);
  std::uint64_t counted = found.size();
  if (found.size() > missed_count_max) {
    counted = missed_count_max;
    found = latest(through, now, kept_max + 2);
  }
  if (!found.empty() && with_jitter(found.back()) > now) {
    found.pop_back();
    counted -= 1;
  }
  const auto old = found.size() - std::min(found.size(), kept_max);
  made.missed = counted - std::min<std::uint64_t>(counted, found.size() - old);
  if (old > 0) {
    made.last_missed = found[old - 1];
  }
  for (auto each = old; each < found.size() && made.firings.size() < most; ++each) {
    made.through = found[each];
    const bool is_latest = each + 1 == found.size();
    if (is_latest && now - with_jitter(found[each]) <= kept_within) {
      made.firings.push_back(found[each]);
    } else if (is_made_up_for(found[each], now, is_latest)) {
      made.firings.push_back(found[each]);
      made.made_up += 1;
    } else {
      made.missed += 1;
      made.last_missed = found[each];
    }
  }
  if (!found.empty() && made.through < found.back()) {
    made.again = now;
  } else if (const auto next = times_.next(made.through)) {
    made.again = with_jitter(*next);
  }
  return made;
}

wall_time schedule_plan::with_jitter(wall_time nominal) const {
  constexpr duration step = std::chrono::milliseconds{1};
  auto longest = schedule_.jitter;
  if (const auto next = longest > duration{} ? times_.next(nominal) : std::nullopt) {
    longest = std::min(longest, *next - nominal - step);
  }
  const auto steps = static_cast<std::uint64_t>(longest / step) + 1;
  return nominal +
         static_cast<std::int64_t>(stable_hash(key_, nominal.time_since_epoch().count()) % steps) *
             step;
}

firing_fate fate_of(overlap_policy policy, std::size_t running, std::size_t waiting) {
  if (policy == overlap_policy::allow || running + waiting == 0) {
    return firing_fate::start;
  }
  switch (policy) {
    case overlap_policy::queue:
      return waiting < waiting_firings_max ? firing_fate::wait : firing_fate::skip;
    case overlap_policy::replace:
      return firing_fate::replace;
    default:
      return firing_fate::skip;
  }
}

// FNV-1a (fnvlib, Fowler, Noll, Vo), and the finisher of splitmix64, which spreads it over all
// bits.
std::uint64_t stable_hash(std::string_view text, std::int64_t number) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  const auto add = [&hash](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3U; };
  for (const char each : text) {
    add(static_cast<std::uint8_t>(each));
  }
  for (unsigned shift = 0; shift < 64; shift += 8) {
    add(static_cast<std::uint8_t>(static_cast<std::uint64_t>(number) >> shift));
  }
  hash = (hash ^ (hash >> 30U)) * 0xbf58476d1ce4e5b9U;
  hash = (hash ^ (hash >> 27U)) * 0x94d049bb133111ebU;
  return hash ^ (hash >> 31U);
}

}  // namespace millrace::actors
