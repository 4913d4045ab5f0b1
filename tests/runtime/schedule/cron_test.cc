// SPDX-License-Identifier: MIT
// Cron expressions: what they say, and when that is where clocks change.
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/cron.h"
#include "runtime/schedule/naive_cron.h"

namespace millrace::runtime {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;

sys_seconds utc(int year, int month, int day, int hour = 0, int minute = 0, int second = 0) {
  return sys_days{std::chrono::year{year} / month / day} + hours{hour} + minutes{minute} +
         seconds{second};
}

cron parsed(std::string_view text) {
  auto made = cron::parse(text);
  if (!made) {
    FAIL(made.error().to_string());
  }
  return *std::move(made);
}

time_zone zone_of(std::string_view name) {
  auto made = load_time_zone(name);
  if (!made) {
    FAIL(made.error().to_string());
  }
  return *std::move(made);
}

// `2024-03-31 03:00:00 +02:00`
std::string shown(sys_seconds at, const time_zone& zone) {
  const auto local = zone.to_local(at);
  const auto day = std::chrono::floor<std::chrono::days>(local);
  const std::chrono::year_month_day date{day};
  const auto time = (local - day).count();
  const auto east = zone.span_at(at).offset.count() / 60;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u %02d:%02d:%02d %c%02d:%02d",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time / 3'600),
                static_cast<int>(time / 60 % 60), static_cast<int>(time % 60), east < 0 ? '-' : '+',
                static_cast<int>(std::abs(east) / 60), static_cast<int>(std::abs(east) % 60));
  return text.data();
}

using texts = std::vector<std::string>;

// The first `count` due instants after `after`.
texts due(std::string_view text, const time_zone& zone, sys_seconds after, std::size_t count) {
  const auto expression = parsed(text);
  texts found;
  std::optional<wall_time> at{after};
  while (found.size() < count && (at = expression.next(*at, zone))) {
    found.push_back(shown(std::chrono::floor<seconds>(*at), zone));
  }
  return found;
}

// The same in UTC, without the offset.
texts due_utc(std::string_view text, sys_seconds after, std::size_t count) {
  auto found = due(text, time_zone{}, after, count);
  for (auto& each : found) {
    each.resize(each.size() - 7);
  }
  return found;
}

TEST_CASE("fields hold numbers, ranges, steps, lists and names") {
  const auto start = utc(2024, 1, 1);  // a Monday
  CHECK(due_utc("30 4 * * *", start, 2) == texts{"2024-01-01 04:30:00", "2024-01-02 04:30:00"});
  CHECK(due_utc("*/20 * * * *", start, 3) ==
        texts{"2024-01-01 00:20:00", "2024-01-01 00:40:00", "2024-01-01 01:00:00"});
  CHECK(due_utc("0 8-18/5 * * *", start, 4) == texts{"2024-01-01 08:00:00", "2024-01-01 13:00:00",
                                                     "2024-01-01 18:00:00", "2024-01-02 08:00:00"});
  CHECK(due_utc("5,10,50-52/2 0 1 * *", start, 4) ==
        texts{"2024-01-01 00:05:00", "2024-01-01 00:10:00", "2024-01-01 00:50:00",
              "2024-01-01 00:52:00"});
  CHECK(due_utc("0 0 * JAN-mar Sat", start, 2) ==
        texts{"2024-01-06 00:00:00", "2024-01-13 00:00:00"});
  CHECK(due_utc("0 0 * 12 *", start, 1) == texts{"2024-12-01 00:00:00"});
  for (const auto* sunday : {"0", "7", "SUN", "0,7"}) {
    CAPTURE(sunday);
    CHECK(due_utc("0 0 * * " + std::string{sunday}, utc(2024, 1, 6), 2) ==
          texts{"2024-01-07 00:00:00", "2024-01-14 00:00:00"});
  }
  for (const auto* weekend : {"5-7", "FRI-SUN", "fri-7"}) {
    CAPTURE(weekend);
    CHECK(due_utc("0 0 * * " + std::string{weekend}, start, 4) ==
          texts{"2024-01-05 00:00:00", "2024-01-06 00:00:00", "2024-01-07 00:00:00",
                "2024-01-12 00:00:00"});
  }
  CHECK(due_utc(" \t0 0\t*  * * ", start, 1) == texts{"2024-01-02 00:00:00"});
  CHECK(parsed(" \t0 0\t*  * * ").text() == "0 0\t*  * *");
}

TEST_CASE("six fields begin with seconds") {
  CHECK(due_utc("*/25 30 4 * * *", utc(2024, 1, 1, 4, 30), 4) ==
        texts{"2024-01-01 04:30:25", "2024-01-01 04:30:50", "2024-01-02 04:30:00",
              "2024-01-02 04:30:25"});
  CHECK(due_utc("59 59 23 31 12 *", utc(2024, 1, 1), 1) == texts{"2024-12-31 23:59:59"});
}

TEST_CASE("nicknames stand for what they say") {
  const auto start = utc(2024, 1, 15, 12, 30);
  CHECK(due_utc("@hourly", start, 1) == texts{"2024-01-15 13:00:00"});
  CHECK(due_utc("@daily", start, 1) == texts{"2024-01-16 00:00:00"});
  CHECK(due_utc("@MIDNIGHT", start, 1) == texts{"2024-01-16 00:00:00"});
  CHECK(due_utc("@weekly", start, 1) == texts{"2024-01-21 00:00:00"});
  CHECK(due_utc("@monthly", start, 1) == texts{"2024-02-01 00:00:00"});
  CHECK(due_utc("@yearly", start, 1) == texts{"2025-01-01 00:00:00"});
  CHECK(due_utc("@annually", start, 1) == texts{"2025-01-01 00:00:00"});
}

TEST_CASE("either day field is enough, unless one starts with a star") {
  const auto start = utc(2024, 9, 1);
  CHECK(due_utc("0 0 13 * FRI", start, 4) == texts{"2024-09-06 00:00:00", "2024-09-13 00:00:00",
                                                   "2024-09-20 00:00:00", "2024-09-27 00:00:00"});
  CHECK(due_utc("0 0 13 * *", start, 2) == texts{"2024-09-13 00:00:00", "2024-10-13 00:00:00"});
  CHECK(due_utc("0 0 */2 * FRI", start, 2) == texts{"2024-09-13 00:00:00", "2024-09-27 00:00:00"});
  CHECK(due_utc("0 0 30 2 MON", utc(2024, 1, 1), 1) == texts{"2024-02-05 00:00:00"});
}

TEST_CASE("rare dates come, however long that takes") {
  CHECK(due_utc("0 0 29 2 *", utc(2024, 2, 29), 2) ==
        texts{"2028-02-29 00:00:00", "2032-02-29 00:00:00"});
  CHECK(due_utc("0 0 29 2 *", utc(2096, 2, 29), 1) == texts{"2104-02-29 00:00:00"});
  CHECK(due_utc("0 0 29 2 */5", utc(2024, 2, 29), 1) == texts{"2032-02-29 00:00:00"});
  CHECK(due_utc("0 0 31 * *", utc(2024, 1, 31), 2) ==
        texts{"2024-03-31 00:00:00", "2024-05-31 00:00:00"});
  CHECK(due_utc("0 0 L * *", utc(2024, 1, 31), 3) ==
        texts{"2024-02-29 00:00:00", "2024-03-31 00:00:00", "2024-04-30 00:00:00"});
  CHECK(due_utc("0 0 15,L 2 *", utc(2025, 1, 31), 2) ==
        texts{"2025-02-15 00:00:00", "2025-02-28 00:00:00"});
}

TEST_CASE("the next instant is later, by less than a second if need be") {
  const auto every_second = parsed("* * * * * *");
  const wall_time at = utc(2024, 1, 1);
  CHECK((every_second.next(at, {}) == at + seconds{1}));
  CHECK((every_second.next(at - nanoseconds{1}, {}) == at));
  CHECK((every_second.next(at + nanoseconds{1}, {}) == at + seconds{1}));
  const wall_time early = utc(1969, 12, 31);
  CHECK((parsed("0 0 * * *").next(early - nanoseconds{1}, {}) == early));
}

TEST_CASE("there is nothing after the end of time") {
  CHECK_FALSE(parsed("0 0 29 2 *").next(utc(2260, 3, 1), {}));
  CHECK_FALSE(parsed("* * * * * *").next(wall_time::max(), {}));
  CHECK(parsed("0 0 * * *").next(wall_time::min(), {}));
  CHECK(parsed("0 0 * * *").next(wall_time::min(), zone_of("Europe/Berlin")));
}

struct refusal {
  std::string_view text;
  std::string_view says;
};

TEST_CASE("a wrong expression is refused with the field, the column and the remedy") {
  constexpr std::string_view fields =
      "(write `minute hour day-of-month month day-of-week`, as in `30 4 * * MON-FRI`)";
  const std::array refusals{
      refusal{"", "column 1: expected 5 fields, or 6 with seconds, found 0"},
      refusal{"   ", "expected 5 fields, or 6 with seconds, found 0"},
      refusal{"* * * *", fields},
      refusal{"* * * * * * *", "found 7"},
      refusal{"60 * * * *", "column 1, minute field: `60` is not allowed (write 0 to 59)"},
      refusal{"* 24 * * *", "column 3, hour field: `24` is not allowed (write 0 to 23)"},
      refusal{"* * 0 * *", "column 5, day-of-month field: `0` is not allowed (write 1 to 31)"},
      refusal{"* * * 13 *",
              "column 7, month field: `13` is not allowed (write 1 to 12 or JAN to DEC)"},
      refusal{"* * * * 8",
              "column 9, day-of-week field: `8` is not allowed (write 0 to 7 or SUN to SAT)"},
      refusal{"61 0 * * * *", "column 1, second field: `61` is not allowed (write 0 to 59)"},
      refusal{"0 0 * * MOON", "column 9, day-of-week field: `MOON` is not allowed"},
      refusal{"0 0 * MON *", "column 7, month field: `MON` is not allowed"},
      refusal{"0 0 ? * MON", "column 5, day-of-month field: `?` is not allowed (write `*`)"},
      refusal{"1,,2 * * * *", "column 3, minute field: an element of the list is empty"},
      refusal{"1, * * * *", "column 3, minute field: an element of the list is empty"},
      refusal{"5-1 * * * *",
              "column 1, minute field: the range `5-1` ends before it begins (write it as two: "
              "`5-59,0-1`)"},
      refusal{"0 0 * * FRI-MON", "(write it as two: `FRI-6,0-MON`)"},
      refusal{"1- * * * *", "column 3, minute field: a number is missing"},
      refusal{"-1 * * * *", "column 1, minute field: a number is missing"},
      refusal{"5/15 * * * *",
              "column 1, minute field: a step needs a range, found `5/15` (write `5-59/15`)"},
      refusal{"*/0 * * * *", "column 3, minute field: `0` is no step (write a number from 1"},
      refusal{"*/x * * * *", "column 3, minute field: `x` is no step"},
      refusal{"*/ * * * *", "column 3, minute field: `` is no step"},
      refusal{"*/90 * * * *", "column 3, minute field: a step of 90 is longer than the range"},
      refusal{"** * * * *", "column 1, minute field: `**` is not allowed"},
      refusal{"1.5 * * * *", "column 1, minute field: `1.5` is not allowed"},
      refusal{"99999999999999999999 * * * *", "column 1, minute field: `99999999999999999999`"},
      refusal{"* L * * *", "column 3, hour field: `L` is not allowed"},
      refusal{"0 0 30 2 *",
              "column 5, day-of-month field: no month of this expression has a day `30` (write a "
              "day that it has, or `L` for the last one)"},
      refusal{"0 0 31 4,6,9,11 *", "no month of this expression has a day `31`"},
      refusal{"0 0 30-31 FEB */2", "no month of this expression has a day `30-31`"},
      refusal{"@reboot", "column 1: `@reboot` has no meaning in a cluster"},
      refusal{"@every 5m", "column 1: `@every 5m` is not known (write `@hourly`"},
      refusal{"  @dayly", "column 3: `@dayly` is not known"},
  };
  for (const auto& each : refusals) {
    CAPTURE(each.text);
    const auto made = cron::parse(each.text);
    REQUIRE_FALSE(made);
    CHECK(made.error().code() == errc::invalid_argument);
    CAPTURE(made.error().text());
    CHECK(made.error().text().find(each.says) != std::string::npos);
  }
  CHECK_FALSE(cron::parse(std::string(2'000, ' ') + "* * * * *"));
}

TEST_CASE("no text does harm") {
  constexpr std::string_view pieces = "0123456789*/-,? LWLSUNMONJANDEC@#\t\n\xFF.";
  rng random{3};
  for (int round = 0; round < 50'000; ++round) {
    std::string text;
    for (auto left = random.next() % 30; left > 0; --left) {
      text += pieces[random.next() % pieces.size()];
    }
    CAPTURE(text);
    if (const auto made = cron::parse(text)) {
      CHECK(made->next(utc(2024, 1, 1), {}));
    } else {
      CHECK(made.error().code() == errc::invalid_argument);
    }
  }
}

TEST_CASE("fixed times that a gap skips are due at its end, once") {
  const auto berlin = zone_of("Europe/Berlin");
  CHECK(due("30 2 * * *", berlin, utc(2024, 3, 30, 0), 3) == texts{"2024-03-30 02:30:00 +01:00",
                                                                   "2024-03-31 03:00:00 +02:00",
                                                                   "2024-04-01 02:30:00 +02:00"});
  CHECK(due("0,15,45 2 * * *", berlin, utc(2024, 3, 30, 12), 2) ==
        texts{"2024-03-31 03:00:00 +02:00", "2024-04-01 02:00:00 +02:00"});
  CHECK(due("0,30 2,3 * * *", berlin, utc(2024, 3, 30, 12), 3) ==
        texts{"2024-03-31 03:00:00 +02:00", "2024-03-31 03:30:00 +02:00",
              "2024-04-01 02:00:00 +02:00"});
  CHECK(due("30 2 * * *", zone_of("America/New_York"), utc(2024, 3, 10), 2) ==
        texts{"2024-03-10 03:00:00 -04:00", "2024-03-11 02:30:00 -04:00"});
  CHECK(due("15 2 * * *", zone_of("Australia/Lord_Howe"), utc(2024, 10, 5, 12), 2) ==
        texts{"2024-10-06 02:30:00 +11:00", "2024-10-07 02:15:00 +11:00"});
  // Beyond the table of the file.
  CHECK(due("30 2 * * *", berlin, utc(2100, 3, 27, 12), 2) ==
        texts{"2100-03-28 03:00:00 +02:00", "2100-03-29 02:30:00 +02:00"});
  // The end of the gap asked for from within its last second, and from its own instant.
  const auto expression = parsed("30 2 * * *");
  const wall_time end = utc(2024, 3, 31, 1);
  CHECK((expression.next(end - nanoseconds{1}, berlin) == end));
  CHECK((expression.next(end, berlin) == wall_time{utc(2024, 4, 1, 0, 30)}));
}

TEST_CASE("fixed times that occur twice are due the first time") {
  const auto berlin = zone_of("Europe/Berlin");
  CHECK(due("30 2 * * *", berlin, utc(2024, 10, 26, 12), 2) ==
        texts{"2024-10-27 02:30:00 +02:00", "2024-10-28 02:30:00 +01:00"});
  CHECK(due("0,30 2,3 * * *", berlin, utc(2024, 10, 26, 12), 4) ==
        texts{"2024-10-27 02:00:00 +02:00", "2024-10-27 02:30:00 +02:00",
              "2024-10-27 03:00:00 +01:00", "2024-10-27 03:30:00 +01:00"});
  CHECK(due("30 1 * * *", zone_of("America/New_York"), utc(2024, 11, 3), 2) ==
        texts{"2024-11-03 01:30:00 -04:00", "2024-11-04 01:30:00 -05:00"});
  CHECK(due("45 1 * * *", zone_of("Australia/Lord_Howe"), utc(2024, 4, 6), 2) ==
        texts{"2024-04-07 01:45:00 +11:00", "2024-04-08 01:45:00 +10:30"});
  // Asked during the repetition, there is nothing left of that night.
  CHECK(due("30 2 * * *", berlin, utc(2024, 10, 27, 1, 10), 1) ==
        texts{"2024-10-28 02:30:00 +01:00"});
}

TEST_CASE("an hour or minute with a star goes by elapsed time") {
  const auto berlin = zone_of("Europe/Berlin");
  CHECK(due("0 * * * *", berlin, utc(2024, 3, 30, 23, 30), 3) ==
        texts{"2024-03-31 01:00:00 +01:00", "2024-03-31 03:00:00 +02:00",
              "2024-03-31 04:00:00 +02:00"});
  CHECK(due("30 * * * *", berlin, utc(2024, 10, 27, 0), 3) == texts{"2024-10-27 02:30:00 +02:00",
                                                                    "2024-10-27 02:30:00 +01:00",
                                                                    "2024-10-27 03:30:00 +01:00"});
  CHECK(due("*/30 2 * * *", berlin, utc(2024, 3, 31), 1) == texts{"2024-04-01 02:00:00 +02:00"});
  CHECK(due("*/30 2 * * *", berlin, utc(2024, 10, 26, 12), 4) ==
        texts{"2024-10-27 02:00:00 +02:00", "2024-10-27 02:30:00 +02:00",
              "2024-10-27 02:00:00 +01:00", "2024-10-27 02:30:00 +01:00"});
}

TEST_CASE("a place without daylight saving time is like UTC, moved") {
  const auto sao_paulo = zone_of("America/Sao_Paulo");
  CHECK(due("30 2 * * *", sao_paulo, utc(2024, 10, 20), 2) ==
        texts{"2024-10-20 02:30:00 -03:00", "2024-10-21 02:30:00 -03:00"});
  // Until 2019 it had one, and that began at midnight: the day began at one o'clock.
  CHECK(due("0 0 * * *", sao_paulo, utc(2018, 11, 3, 12), 2) ==
        texts{"2018-11-04 01:00:00 -02:00", "2018-11-05 00:00:00 -02:00"});
}

TEST_CASE("a day that a calendar skips is not made up for") {
  const auto apia = zone_of("Pacific/Apia");
  CHECK(due("0 12 * * *", apia, utc(2011, 12, 29), 3) == texts{"2011-12-29 12:00:00 -10:00",
                                                               "2011-12-31 12:00:00 +14:00",
                                                               "2012-01-01 12:00:00 +14:00"});
  CHECK(due("0 12 30 12 *", apia, utc(2011, 1, 1), 1) == texts{"2012-12-30 12:00:00 +14:00"});
  CHECK(due("0 * 30-31 12 *", apia, utc(2011, 12, 1), 1) == texts{"2011-12-31 00:00:00 +14:00"});
}

TEST_CASE("next finds what a scan of every minute finds") {
  struct place {
    const char* name;
    sys_seconds around;  // A change of the clock, where there is one.
  };
  const std::array places{place{"Europe/Berlin", utc(2024, 3, 31, 1)},
                          place{"Europe/Berlin", utc(2024, 10, 27, 1)},
                          place{"Europe/Berlin", utc(2101, 3, 27, 1)},
                          place{"America/New_York", utc(2024, 3, 10, 7)},
                          place{"America/New_York", utc(2024, 11, 3, 6)},
                          place{"Australia/Lord_Howe", utc(2024, 4, 6, 15)},
                          place{"Australia/Lord_Howe", utc(2024, 10, 5, 15, 30)},
                          place{"America/Sao_Paulo", utc(2024, 2, 29)},
                          place{"America/Sao_Paulo", utc(2018, 11, 4, 3)},
                          place{"Pacific/Apia", utc(2011, 12, 30, 10)},
                          place{"Antarctica/Troll", utc(2024, 3, 31, 1)},
                          place{"Antarctica/Troll", utc(2024, 10, 27, 1)},
                          place{"UTC", utc(2024, 12, 31)}};
  rng random{2024};
  std::size_t compared = 0;
  for (const auto& place : places) {
    const auto zone = zone_of(place.name);
    for (int round = 0; round < 150; ++round) {
      const naive_cron naive{random};
      const auto made = cron::parse(naive.text);
      CAPTURE(place.name);
      CAPTURE(naive.text);
      if (!made) {
        CHECK(made.error().text().find("no month of this expression") != std::string::npos);
        continue;
      }
      const auto from = place.around - minutes{random.next() % 4'000};
      const auto to = place.around + hours{48};
      const auto expected = naive.due(from, to, zone);
      std::vector<sys_seconds> found;
      std::optional<wall_time> at{from};
      while ((at = made->next(*at, zone)) && *at < to) {
        found.push_back(std::chrono::floor<seconds>(*at));
      }
      CHECK((found == expected));
      compared += expected.size();
    }
  }
  CHECK(compared > 5'000);
}

// Goal: a schedule costs next to nothing, even when its date is years away.
TEST_CASE("next is quick") {
  const auto zone = zone_of("Europe/Berlin");
  const auto rare = parsed("59 59 23 29 2 */6");
  const auto start = std::chrono::steady_clock::now();
  std::size_t found = 0;
  for (int round = 0; round < 1'000; ++round) {
    found += rare.next(utc(1970 + round % 200, 3, 1), zone) ? 1 : 0;
  }
  CHECK(found == 1'000);
  const auto took = std::chrono::steady_clock::now() - start;
  CAPTURE(took.count());
  CHECK(took < seconds{5});
}

}  // namespace
}  // namespace millrace::runtime
