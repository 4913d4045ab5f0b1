// SPDX-License-Identifier: MIT
// What of a schedule is due: by tables of times, without an actor.
#include "schedule/schedule_plan.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace millrace::actors {
namespace {

using namespace std::chrono_literals;
using runtime::duration;
using runtime::wall_time;
using times = std::vector<wall_time>;

// 2026-01-01T00:00:00Z, and so long after it.
wall_time t(duration after) {
  return wall_time{std::chrono::seconds{1'767'225'600}} + after;
}

schedule_definition every(duration length, catchup_policy catchup = catchup_policy::last) {
  schedule_definition made;
  made.every = length;
  made.catchup = catchup;
  return made;
}

schedule_definition by_cron(const std::string& expression, const std::string& zone = "UTC") {
  schedule_definition made;
  made.cron = expression;
  made.time_zone = zone;
  return made;
}

timetable times_of(const schedule_definition& schedule) {
  auto made = timetable::of(schedule);
  if (!made) {
    FAIL(made.error().to_string());
  }
  return *std::move(made);
}

schedule_plan::due due(const schedule_definition& schedule, wall_time through, wall_time now,
                       std::size_t most = 10'000) {
  const auto table = times_of(schedule);
  return schedule_plan{schedule, table, "p/x/default"}.at(through, now, most);
}

TEST_CASE("the times of `every` lie on a grid, whenever somebody looks") {
  auto schedule = every(15min);
  const auto table = times_of(schedule);
  CHECK(table.next(t(1min)) == t(15min));
  CHECK(table.next(t(15min) - 1ns) == t(15min));
  CHECK(table.next(t(15min)) == t(30min));
  CHECK(table.next(wall_time{-1min}) == wall_time{});
  CHECK(table.next(wall_time{-15min}) == wall_time{});
  CHECK(table.next(wall_time{-16min}) == wall_time{-15min});

  schedule.start = t(7min);
  schedule.end = t(37min);
  const auto bounded = times_of(schedule);
  CHECK(bounded.next(wall_time{}) == t(7min));
  CHECK(bounded.next(t(7min)) == t(22min));
  CHECK(bounded.next(t(22min)) == t(37min));
  CHECK(bounded.next(t(37min)) == std::nullopt);
  CHECK(timetable{}.next(t(0s)) == std::nullopt);
}

TEST_CASE("the times of cron are those of its zone, between start and end") {
  auto schedule = by_cron("30 2 * * *", "Europe/Berlin");
  schedule.start = t(1h);
  const auto table = times_of(schedule);
  CHECK(table.next(t(-48h)) == t(1h + 30min));  // half past two there
  // 2026-03-29: 2 o'clock is 3 o'clock. What is skipped fires after the gap.
  const auto change = t(24h * 87 + 1h);
  CHECK(table.next(change - 1s) == change);
  CHECK(table.next(change) == change + 23h + 30min);
}

TEST_CASE("a day begins at midnight, or where clocks leap over it") {
  struct row {
    const char* zone;
    std::chrono::year_month_day day;
    const char* begins;
  };
  using namespace std::chrono;
  const row rows[] = {
      {"UTC", 2026y / 3 / 8, "2026-03-08T00:00:00+00:00"},
      {"Europe/Berlin", 2026y / 3 / 29, "2026-03-29T00:00:00+01:00"},
      {"America/Havana", 2026y / 3 / 7, "2026-03-07T00:00:00-05:00"},
      {"America/Havana", 2026y / 3 / 8, "2026-03-08T01:00:00-04:00"},
      {"America/Havana", 2026y / 3 / 9, "2026-03-09T00:00:00-04:00"},
      {"America/Havana", 2026y / 11 / 1, "2026-11-01T00:00:00-04:00"},  // the first of two
      {"America/Santiago", 2026y / 9 / 6, "2026-09-06T01:00:00-03:00"},
      {"America/Santiago", 2026y / 4 / 5, "2026-04-05T00:00:00-04:00"},  // 23 o'clock twice
      {"Africa/Cairo", 2026y / 4 / 24, "2026-04-24T01:00:00+03:00"},
      {"Pacific/Kiritimati", 2026y / 1 / 1, "2026-01-01T00:00:00+14:00"},
      {"Pacific/Apia", 2011y / 12 / 30, "2011-12-31T00:00:00+14:00"},  // a day it has not had
  };
  for (const auto& each : rows) {
    CAPTURE(each.begins);
    const auto zone = runtime::load_time_zone(each.zone);
    REQUIRE(zone);
    CHECK(local_text(begin_of(each.day, *zone), *zone) == each.begins);
  }
}

TEST_CASE("nothing is due before its time, and what is due is so once") {
  const auto before = due(every(1min), t(0s), t(59s));
  CHECK(before.firings.empty());
  CHECK(before.through == t(0s));
  CHECK(before.again == t(1min));

  const auto then = due(every(1min), t(0s), t(1min));
  CHECK(then.firings == times{t(1min)});
  CHECK(then.through == t(1min));
  CHECK(then.again == t(2min));
  CHECK(then.missed == 0);

  CHECK(due(every(1min), t(1min), t(1min)).firings.empty());
}

TEST_CASE("a clock that is set back does not fire twice") {
  const auto back = due(every(1min, catchup_policy::all), t(1h), t(10min));
  CHECK(back.firings.empty());
  CHECK(back.through == t(1h));
  CHECK(back.again == t(1h + 1min));
}

TEST_CASE("of what passed in an outage, the policy says what is made up for") {
  const auto now = t(1h + 30s);
  SUBCASE("none, but what is on time") {
    const auto late = due(every(10min, catchup_policy::none), t(0s), t(1h + 61s));
    CHECK(late.firings.empty());
    CHECK(late.missed == 6);
    CHECK(late.last_missed == t(1h));
    CHECK(late.through == t(1h));
    const auto timely = due(every(10min, catchup_policy::none), t(0s), now);
    CHECK(timely.firings == times{t(1h)});
    CHECK(timely.missed == 5);
  }
  SUBCASE("the last") {
    const auto made = due(every(10min, catchup_policy::last), t(0s), t(69min));
    CHECK(made.firings == times{t(1h)});
    CHECK(made.missed == 5);
    CHECK(made.last_missed == t(50min));
  }
  SUBCASE("all") {
    const auto made = due(every(20min, catchup_policy::all), t(0s), now);
    CHECK(made.firings == times{t(20min), t(40min), t(1h)});
    CHECK(made.made_up == 2);  // the last is on time
    CHECK(made.missed == 0);
    CHECK(made.again == t(80min));
  }
  SUBCASE("all, of the window") {
    auto schedule = every(20min, catchup_policy::all);
    schedule.catchup_window = 25min;
    const auto made = due(schedule, t(0s), now);
    CHECK(made.firings == times{t(40min), t(1h)});
    CHECK(made.missed == 1);
    schedule.catchup_window = 1s;
    CHECK(due(schedule, t(0s), now).firings == times{t(1h)});  // on time, so no matter for it
    CHECK(due(schedule, t(0s), t(1h + 2min)).firings.empty());
  }
}

TEST_CASE("a part of what is due is followed by the rest at once") {
  const auto schedule = every(1min, catchup_policy::all);
  const auto part = due(schedule, t(0s), t(5min), 2);
  CHECK(part.firings == times{t(1min), t(2min)});
  CHECK(part.through == t(2min));
  CHECK(part.again == t(5min));
  const auto rest = due(schedule, part.through, t(5min), 10);
  CHECK(rest.firings == times{t(3min), t(4min), t(5min)});
}

// Goal: an outage of years of a schedule that fires each second costs no more than a short one.
TEST_CASE("what is made up for is the latest thousand, however much was missed") {
  for (const bool is_cron : {false, true}) {
    CAPTURE(is_cron);
    auto schedule = is_cron ? by_cron("* * * * * *") : every(1s);
    schedule.catchup = catchup_policy::all;
    const auto some = due(schedule, t(0s), t(1500s));
    CHECK(some.firings.size() == catchup_firings_max);
    CHECK(some.firings.front() == t(501s));
    CHECK(some.missed == 500);
    CHECK(some.last_missed == t(500s));
    const auto years = due(schedule, t(0s), t(24h * 365 * 5 + 500ms));
    CHECK(years.firings.size() == catchup_firings_max);
    CHECK(years.firings.back() == t(24h * 365 * 5));
    CHECK(years.missed == missed_count_max - catchup_firings_max);
    CHECK(years.last_missed == years.firings.front() - 1s);
    schedule.catchup = catchup_policy::last;
    CHECK(due(schedule, t(0s), t(24h * 365 * 5)).firings == times{t(24h * 365 * 5)});
  }
}

TEST_CASE("jitter delays each firing by something of its own, less than the time to the next") {
  auto schedule = every(10s, catchup_policy::all);
  schedule.jitter = 1h;
  const auto table = times_of(schedule);
  const schedule_plan plan{schedule, table, "p/x/default"};
  const schedule_plan other{schedule, table, "p/x/other"};
  std::set<duration> delays;
  int differing = 0;
  for (int at = 0; at < 100; ++at) {
    const auto nominal = t(10s * at);
    const auto due_at = plan.with_jitter(nominal);
    CHECK(due_at == plan.with_jitter(nominal));
    CHECK(due_at >= nominal);
    CHECK(due_at < nominal + 10s);
    delays.insert(due_at - nominal);
    differing += due_at != other.with_jitter(nominal) ? 1 : 0;
  }
  CHECK(delays.size() > 90);
  CHECK(differing > 90);

  const auto nominal = t(20s);
  const auto due_at = plan.with_jitter(nominal);
  REQUIRE(due_at > nominal);
  const auto early = plan.at(t(10s), due_at - 1ns, 10);
  CHECK(early.firings.empty());
  CHECK(early.again == due_at);
  CHECK(plan.at(t(10s), due_at, 10).firings == times{nominal});
}

// What was chosen once is chosen by every later version, or firings would move with an upgrade.
TEST_CASE("the hash that jitter goes by stays what it is") {
  CHECK(stable_hash("p/x/default", 0) == 1434545977253585978U);
  CHECK(stable_hash("p/x/default", 1'767'225'600'000'000'000) == 14865221591291480580U);
}

TEST_CASE("what becomes of a firing depends on what runs and waits before it") {
  CHECK(fate_of(overlap_policy::allow, 5, 0) == firing_fate::start);
  for (const auto policy : {overlap_policy::skip, overlap_policy::queue, overlap_policy::replace}) {
    CHECK(fate_of(policy, 0, 0) == firing_fate::start);
  }
  CHECK(fate_of(overlap_policy::skip, 1, 0) == firing_fate::skip);
  CHECK(fate_of(overlap_policy::replace, 1, 0) == firing_fate::replace);
  CHECK(fate_of(overlap_policy::queue, 1, 0) == firing_fate::wait);
  CHECK(fate_of(overlap_policy::queue, 0, 1) == firing_fate::wait);
  CHECK(fate_of(overlap_policy::queue, 1, waiting_firings_max) == firing_fate::skip);
}

}  // namespace
}  // namespace millrace::actors
