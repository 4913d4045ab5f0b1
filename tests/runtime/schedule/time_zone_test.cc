// SPDX-License-Identifier: MIT
// Time zones: the offsets of real places, and files that are not what they should be.
//
// Needs tzdata, as every user of zones does.
#include <doctest/doctest.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/time_zone.h"
#include "schedule/posix_rule.h"

namespace millrace::runtime {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;

sys_seconds utc(int year, int month, int day, int hour = 0, int minute = 0) {
  return sys_days{std::chrono::year{year} / month / day} + hours{hour} + minutes{minute};
}

time_zone zone_of(std::string_view name) {
  auto made = load_time_zone(name);
  if (!made) {
    FAIL(made.error().to_string());
  }
  return *std::move(made);
}

// Goal: a span touches its neighbours, at the instant that tzdata gives.
void check_change(const time_zone& zone, sys_seconds at, minutes before, minutes after) {
  CAPTURE(zone.name());
  CAPTURE(at.time_since_epoch().count());
  const auto first = zone.span_at(at - seconds{1});
  const auto second = zone.span_at(at);
  CHECK((first.end == at));
  CHECK((second.begin == at));
  CHECK((first.offset == before));
  CHECK((second.offset == after));
  CHECK((zone.span_at(first.begin) == first));
  CHECK((zone.span_at(second.end - seconds{1}) == second));
}

TEST_CASE("clocks change when tzdata says") {
  const auto berlin = zone_of("Europe/Berlin");
  check_change(berlin, utc(2024, 3, 31, 1), minutes{60}, minutes{120});
  check_change(berlin, utc(2024, 10, 27, 1), minutes{120}, minutes{60});
  const auto new_york = zone_of("America/New_York");
  check_change(new_york, utc(2007, 3, 11, 7), minutes{-300}, minutes{-240});
  check_change(new_york, utc(2024, 11, 3, 6), minutes{-240}, minutes{-300});
  const auto lord_howe = zone_of("Australia/Lord_Howe");
  check_change(lord_howe, utc(2024, 4, 6, 15), minutes{660}, minutes{630});
  check_change(lord_howe, utc(2024, 10, 5, 15, 30), minutes{630}, minutes{660});
  check_change(zone_of("Pacific/Apia"), utc(2011, 12, 30, 10), minutes{-600}, minutes{840});
}

TEST_CASE("a place without daylight saving time keeps its offset for ever") {
  const auto sao_paulo = zone_of("America/Sao_Paulo");
  const auto span = sao_paulo.span_at(utc(2200, 1, 1));
  CHECK((span.begin == utc(2019, 2, 17, 2)));  // the last change
  CHECK((span.end == sys_seconds::max()));
  CHECK((span.offset == hours{-3}));
  CHECK((zone_of("Asia/Tokyo").span_at(utc(2500, 7, 1)).offset == hours{9}));
}

TEST_CASE("beyond the table the rule of the footer goes on") {
  const auto berlin = zone_of("Europe/Berlin");
  check_change(berlin, utc(2100, 3, 28, 1), minutes{60}, minutes{120});
  check_change(berlin, utc(2100, 10, 31, 1), minutes{120}, minutes{60});
  check_change(zone_of("America/New_York"), utc(2261, 3, 10, 7), minutes{-300}, minutes{-240});
  check_change(zone_of("Australia/Lord_Howe"), utc(2100, 4, 3, 15), minutes{660}, minutes{630});
  // The year turns during the southern summer.
  const auto sydney = zone_of("Australia/Sydney").span_at(utc(2100, 1, 1));
  CHECK((sydney.offset == hours{11}));
  CHECK((sydney.begin == utc(2099, 10, 3, 16)));
  CHECK((sydney.end == utc(2100, 4, 3, 16)));
}

TEST_CASE("UTC and zones of fixed offsets need no table") {
  CHECK((zone_of("UTC").span_at(utc(2024, 1, 1)) ==
         offset_span{sys_seconds::min(), sys_seconds::max(), seconds{0}}));
  CHECK(time_zone{}.name() == "UTC");
  CHECK((zone_of("Etc/GMT+5").span_at(utc(2024, 1, 1)).offset == hours{-5}));
  CHECK((zone_of("Etc/UTC").to_local(utc(2024, 1, 1)).time_since_epoch() ==
         utc(2024, 1, 1).time_since_epoch()));
}

// Goal: the same local time as the C library, an independent reader of the same files.
// Method: random instants and both sides of every change, from 1902 to 2262.
TEST_CASE("local times are those of the C library") {
  constexpr std::array names{"Europe/Berlin",     "America/New_York",  "Australia/Lord_Howe",
                             "America/Sao_Paulo", "Pacific/Apia",      "Europe/Dublin",
                             "Africa/Casablanca", "America/St_Johns",  "Asia/Gaza",
                             "Asia/Tehran",       "Antarctica/Troll",  "Africa/Monrovia",
                             "America/Godthab",   "Pacific/Kwajalein", "America/Caracas",
                             "Europe/London",     "Asia/Kathmandu",    "Pacific/Chatham"};
  rng random{1};
  const auto first = utc(1902, 1, 1);
  const auto last = utc(2262, 1, 1);
  for (const auto* name : names) {
    CAPTURE(name);
    const auto zone = zone_of(name);
    setenv("TZ", name, 1);
    tzset();
    const auto check = [&](sys_seconds at) {
      const auto count = static_cast<time_t>(at.time_since_epoch().count());
      struct tm broken {};
      localtime_r(&count, &broken);
      CAPTURE(count);
      CHECK(zone.span_at(at).offset.count() == broken.tm_gmtoff);
    };
    for (int round = 0; round < 500; ++round) {
      check(first + seconds{random.next() % static_cast<std::uint64_t>((last - first).count())});
    }
    auto at = first;
    for (int changes = 0; at < last; ++changes) {
      const auto span = zone.span_at(at);
      CHECK((span.begin <= at));
      REQUIRE((span.end > at));
      REQUIRE(changes < 2'000);
      check(at);
      if (span.end < last) {
        check(span.end - seconds{1});
        CHECK((zone.span_at(span.end).offset != span.offset));
      }
      at = span.end;
    }
  }
  unsetenv("TZ");
  tzset();
}

TEST_CASE("names that are none, and zones that are not there, are told apart") {
  for (const auto* name : {"", "/etc/passwd", "../zoneinfo/UTC", "Europe/Ber lin", "Europe/",
                           "Europe/./Berlin", ":Europe/Berlin"}) {
    CAPTURE(name);
    CHECK(load_time_zone(name).error().code() == errc::invalid_argument);
  }
  for (const auto* name : {"Europe", "Europe/Nowhere", "UTC/x"}) {
    CAPTURE(name);
    CHECK(load_time_zone(name).error().code() == errc::not_found);
  }
  CHECK(load_time_zone("Europe/Nowhere").error().text() ==
        "there is no time zone `Europe/Nowhere` (write it like `Europe/Berlin`)");
  CHECK(load_time_zone("Europe/Berlin", "/nonexistent").error().text() ==
        "there is no time zone `Europe/Berlin` (install the package tzdata)");
}

std::string berlin_bytes() {
  std::ifstream in{"/usr/share/zoneinfo/Europe/Berlin", std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

TEST_CASE("a file that is cut off anywhere is refused") {
  const auto whole = berlin_bytes();
  REQUIRE(time_zone::parse("x", whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    const auto made = time_zone::parse("x", std::string_view{whole}.substr(0, size));
    REQUIRE_FALSE(made);
    CHECK(made.error().code() == errc::invalid_argument);
  }
}

TEST_CASE("a damaged file is refused or gives spans that hold what was asked for") {
  rng random{5};
  const auto whole = berlin_bytes();
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = whole;
    for (auto left = 1 + random.next() % 3; left > 0; --left) {
      bytes[random.next() % bytes.size()] = static_cast<char>(random.next());
    }
    const auto made = time_zone::parse("x", bytes);
    if (!made) {
      continue;
    }
    for (const auto at : {sys_seconds::min(), utc(1970, 1, 1), utc(2024, 7, 1), utc(2200, 1, 1),
                          sys_seconds::max() - seconds{1}}) {
      const auto span = made->span_at(at);
      CHECK((span.begin <= at));
      CHECK((span.end > at));
      CHECK((std::chrono::abs(span.offset) <= hours{26}));
    }
  }
}

// A file of version 2 with the given number of leap seconds, one type and a footer.
std::string tiny_file(std::string_view footer, char leap_seconds = 0, char types = 1) {
  const auto header = [&](char leaps, char count) {
    std::string made = "TZif2" + std::string(15, '\0');
    for (const char each : {'\0', '\0', leaps, '\0', count, '\4'}) {
      made += std::string(3, '\0') + each;
    }
    return made;
  };
  const std::string type{"\0\0\x0E\x10\0\0", 6};
  const std::string name{"CET\0", 4};
  std::string made = header(0, 1) + type + name + header(leap_seconds, types);
  for (char each = 0; each < types; ++each) {
    made += type;
  }
  made += name + std::string(static_cast<std::size_t>(leap_seconds) * 12, '\0');
  return made + "\n" + std::string{footer} + "\n";
}

TEST_CASE("what a file says wrong is named") {
  CHECK((time_zone::parse("x", tiny_file("CET-1"))->span_at(utc(2024, 1, 1)).offset == hours{1}));
  CHECK((time_zone::parse("x", tiny_file(""))->span_at(utc(2024, 1, 1)).offset == hours{1}));
  const auto refusal = [](const std::string& bytes) {
    return time_zone::parse("x", bytes).error().text();
  };
  const std::string head = "the file of the time zone `x` is broken: ";
  CHECK(refusal(tiny_file("CET-1", 1)) == head + "it counts leap seconds");
  CHECK(refusal(tiny_file("CET-1", 0, 0)) == head + "it has no local time type");
  CHECK(refusal(tiny_file("CET-1CEST,M13.5.0,M10.5.0")) ==
        head + "its rule `CET-1CEST,M13.5.0,M10.5.0` cannot be read");
  CHECK(refusal("GIF89a") == head + "it has no TZif header");
  CHECK(refusal(std::string(70'000, 'x')) == head + "it is larger than 64 KiB");
}

TEST_CASE("a rule may keep daylight saving time all year") {
  // RFC 8536, section 3.3.1: eastern time with daylight saving time for ever.
  const auto zone = time_zone::parse("x", tiny_file("EST5EDT,0/0,J365/25"));
  REQUIRE(zone);
  for (const auto at : {utc(2024, 1, 1, 4, 59), utc(2024, 1, 1, 5), utc(2024, 7, 1),
                        utc(2024, 12, 31, 23), utc(2025, 1, 1, 12)}) {
    CHECK((zone->span_at(at).offset == hours{-4}));
  }
}

TEST_CASE("rules are read as POSIX writes them") {
  const auto rule = parse_posix_rule("<+0330>-3:30<+0430>,J79/24,J263/24");
  REQUIRE(rule);
  CHECK((rule->standard == minutes{210}));
  CHECK((rule->saving == minutes{270}));
  using std::chrono::local_days;
  using std::chrono::year;
  CHECK((rule->saving_begins.in(year{2023}) == local_days{year{2023} / 3 / 21}));
  CHECK((rule->saving_begins.in(year{2024}) == local_days{year{2024} / 3 / 21}));
  CHECK((parse_posix_rule("<-02>2<-01>,M3.5.0/-1,M10.5.0/0")->saving_begins.time == hours{-1}));
  CHECK((parse_posix_rule("AAA0BBB,59,365")->saving_begins.in(year{2024}) ==
         local_days{year{2024} / 2 / 29} + hours{2}));
  for (const auto* text :
       {"", "CE-1", "CET", "CET-25", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J365", "CET-1CEST,366,1", "<CET-1",
        "CET-1CEST,M3.5.0,M10.5.0/168", "CET-1CEST,M3.5.0,M10.5.0x", "CET-1:60"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_posix_rule(text));
  }
}

TEST_CASE("the zones that there are have names, and can be read by these") {
  const auto names = time_zone_names();
  CHECK(std::find(names.begin(), names.end(), "Europe/Berlin") != names.end());
  CHECK(std::find(names.begin(), names.end(), "localtime") == names.end());
  for (const auto& each : names) {
    CAPTURE(each);
    CHECK(load_time_zone(each));
  }
  CHECK(time_zone_names("/nowhere").empty());
}

}  // namespace
}  // namespace millrace::runtime
