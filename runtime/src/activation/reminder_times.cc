// SPDX-License-Identifier: MIT
#include "activation/reminder_times.h"

#include <algorithm>

#include "millrace/runtime/cron.h"

namespace millrace::runtime::detail {

namespace {

// What is later than this was missed.
constexpr duration kept_within = std::chrono::minutes{1};

constexpr duration every_min = std::chrono::milliseconds{1};

error invalid(std::string text) {
  return error{errc::invalid_argument, "a reminder's schedule: " + std::move(text)};
}

// Of stored ones, whose expression and zone were checked when they were set. Should the zone have
// gone since, UTC is better than never.
wall_time after(const stored_reminder& one, wall_time time, const zone_source& zones) {
  const auto expression = cron::parse(one.cron);
  if (!expression) {
    return wall_time::max();
  }
  const auto zone = zones(one.time_zone);
  return expression->next(time, zone ? *zone : time_zone{}).value_or(wall_time::max());
}

}  // namespace

result<stored_reminder> scheduled(const reminder_schedule& when, wall_time now,
                                  const zone_source& zones) {
  stored_reminder one{std::max(when.first, wall_time{}), when.every, when.cron, {}, when.catch_up};
  if (when.cron.empty()) {
    if (when.every != duration{} && when.every < every_min) {
      return invalid("`every` is under a millisecond; leave it out for a single time");
    }
    return one;
  }
  if (when.every != duration{}) {
    return invalid("it has both `every` and `cron`; choose one");
  }
  const auto expression = cron::parse(when.cron);
  if (!expression) {
    return expression.error();
  }
  const auto zone = zones(when.time_zone);
  if (!zone) {
    return zone.error();
  }
  one.time_zone = when.time_zone;
  const auto from = std::max(now, one.due - duration{1});
  const auto first = expression->next(from, *zone);
  if (!first) {
    return invalid("`" + when.cron + "` has no time after `first`");
  }
  one.due = *first;
  return one;
}

namespace {

wall_time saturated(wall_time from, duration by) {
  return by < wall_time::max() - from ? from + by : wall_time::max();
}

}  // namespace

bool is_missed(const stored_reminder& one, wall_time now, const zone_source& zones) {
  if (!one.repeats()) {
    return false;
  }
  const auto next = one.cron.empty() ? saturated(one.due, one.every) : after(one, one.due, zones);
  return next <= now || now - one.due > kept_within;
}

wall_time next_due(const stored_reminder& one, wall_time now, const zone_source& zones) {
  if (one.cron.empty()) {
    const auto steps = one.catch_up == catch_up::all ? 1 : (now - one.due) / one.every + 1;
    return saturated(one.due + (steps - 1) * one.every, one.every);
  }
  return after(one, one.catch_up == catch_up::all ? one.due : now, zones);
}

}  // namespace millrace::runtime::detail
