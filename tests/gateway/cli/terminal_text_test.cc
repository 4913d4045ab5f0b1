// SPDX-License-Identifier: MIT
#include "cli/terminal_text.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>

namespace millrace::gateway::cli {

TEST_CASE("nothing that a terminal would obey reaches it") {
  CHECK(printable("plain café 漢字") == "plain café 漢字");
  CHECK(printable("\x1b[31mred\x1b[0m") == " [31mred [0m");
  CHECK(printable("a\r\n\tb\x7f\b") == "a   b  ");
  CHECK(printable("\xc2\x9b"
                  "31m\xc2\x80\xc2\x9f\xc2\xa0") == " 31m  \xc2\xa0");
  CHECK(printable("\x9b"
                  "31m") ==
        "\xef\xbf\xbd"
        "31m");  // no UTF-8, but a command where bytes are characters
  CHECK(printable(std::string_view{"\0", 1}) == " ");
  CHECK(printable_lines("one\n\ttwo\r\n\x1b[2J") == "one\n\ttwo \n [2J");
}

TEST_CASE("a text is as wide as a terminal shows it") {
  CHECK(columns_of("") == 0);
  CHECK(columns_of("plain") == 5);
  CHECK(columns_of("café") == 4);
  CHECK(columns_of("cafe\xcc\x81") == 4);  // with a combining accent
  CHECK(columns_of("漢字") == 4);
  CHECK(columns_of("\xf0\x9f\x98\x80") == 2);
  CHECK(columns_of("\xef\xbf\xbd") == 1);
  CHECK(columns_of("\xf3\xa0\x84\x80x\xcd\xb8") == 2);  // a variation selector; one never assigned
}

TEST_CASE("times are shown in the zone of who looks") {
  ::setenv("TZ", "XXX-5:45", 1);
  ::tzset();
  CHECK(local_time("2026-01-31T20:00:00.123456789Z") == "2026-02-01T01:45:00+05:45");
  CHECK(local_time("1969-12-31T23:59:59Z") == "1970-01-01T05:44:59+05:45");
  CHECK(local_time("2026-01-31T20:00:00+01:00") == "2026-01-31T20:00:00+01:00");
  CHECK(local_time("yesterday") == "yesterday");
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  CHECK(local_time("2026-01-31T20:00:00.123456789Z") == "2026-01-31T20:00:00Z");
  CHECK(local_time("").empty());
  ::unsetenv("TZ");
  ::tzset();
}

TEST_CASE("a time between two times is as short as it can be read") {
  const runtime::wall_time now{std::chrono::seconds{1'767'225'600}};  // 2026-01-01
  const std::string from = "2025-12-31T23:59:58.5Z";
  CHECK(time_between(from, "2025-12-31T23:59:58.75Z", now) == "0.2s");
  CHECK(time_between(from, "", now) == "1.5s");
  CHECK(time_between(from, "2026-01-01T00:01:03Z", now) == "1m04s");
  CHECK(time_between(from, "2026-01-01T02:03:00Z", now) == "2h03m");
  CHECK(time_between(from, "2026-01-05T04:00:00Z", now) == "4d04h");
  CHECK(time_between(from, "2020-01-05T04:00:00Z", now) == "0.0s");
  CHECK(time_between("", from, now).empty());
  CHECK(time_between("noon", from, now).empty());
}

}  // namespace millrace::gateway::cli
