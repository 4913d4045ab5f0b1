// SPDX-License-Identifier: MIT
#include "millrace/actors/timetable.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "millrace/runtime/rfc3339.h"

namespace millrace::actors {

using runtime::duration;
using runtime::result;
using runtime::wall_time;

std::string_view to_string(overlap_policy policy) noexcept {
  switch (policy) {
    case overlap_policy::allow:
      return "allow";
    case overlap_policy::skip:
      return "skip";
    case overlap_policy::queue:
      return "queue";
    case overlap_policy::replace:
      return "replace";
  }
  return "";
}

std::string_view to_string(catchup_policy policy) noexcept {
  switch (policy) {
    case catchup_policy::none:
      return "none";
    case catchup_policy::last:
      return "last";
    case catchup_policy::all:
      return "all";
  }
  return "";
}

result<timetable> timetable::of(const schedule_definition& schedule) {
  timetable made;
  made.every_ = schedule.every;
  made.start_ = schedule.start;
  made.end_ = schedule.end;
  if (!schedule.cron.empty()) {
    auto parsed = runtime::cron::parse(schedule.cron);
    auto zone = runtime::load_time_zone(schedule.time_zone);
    if (!parsed || !zone) {
      return parsed ? zone.error() : parsed.error();
    }
    made.cron_ = *std::move(parsed);
    made.zone_ = *std::move(zone);
  }
  return made;
}

std::optional<wall_time> timetable::next(wall_time after) const {
  const auto from = start_ ? std::max(after, *start_ - duration{1}) : after;
  std::optional<wall_time> found;
  if (cron_) {
    found = cron_->next(from, zone_);
  } else if (every_ <= duration{}) {
    return std::nullopt;
  } else if (const auto anchor = start_.value_or(wall_time{}); from < anchor) {
    // Before the grid begins, or before 1970, where it has begun as well.
    const auto steps = start_ ? 0 : (anchor - from - duration{1}) / every_;
    found = anchor - steps * every_;
  } else if (const auto passed = from - anchor; every_ < wall_time::max() - from) {
    found = anchor + (passed / every_ + 1) * every_;
  }
  return found && end_ && *found > *end_ ? std::nullopt : found;
}

std::vector<wall_time> timetable::next(wall_time after, std::size_t most) const {
  std::vector<wall_time> found;
  for (auto at = next(after); at && found.size() < most; at = next(*at)) {
    found.push_back(*at);
  }
  return found;
}

wall_time begin_of(std::chrono::sys_days day, const runtime::time_zone& zone) {
  const std::chrono::sys_seconds midnight{day};  // as if it were UTC
  auto from = midnight - std::chrono::days{1};   // no offset is that large
  for (;;) {
    const auto span = zone.span_at(from);
    const auto at = std::max(from, midnight - span.offset);
    if (at < span.end) {
      return at;
    }
    from = span.end;
  }
}

std::string local_text(wall_time at, const runtime::time_zone& zone) {
  const auto offset = zone.span_at(std::chrono::floor<std::chrono::seconds>(at)).offset;
  const auto size = std::abs(offset.count()) / 60;
  std::string text;
  runtime::append_rfc3339(text, (at + offset).time_since_epoch().count());
  text.back() = offset.count() < 0 ? '-' : '+';
  char rest[16];
  std::snprintf(rest, sizeof rest, "%02d:%02d", static_cast<int>(size / 60),
                static_cast<int>(size % 60));
  return text + rest;
}

}  // namespace millrace::actors
