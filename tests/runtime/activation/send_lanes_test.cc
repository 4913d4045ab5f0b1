// SPDX-License-Identifier: MIT
#include "activation/send_lanes.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace millrace::runtime::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using step = send_verdict::step;

constexpr duration hour = std::chrono::hours{1};
const steady_time start{std::chrono::seconds{100}};
const error unreachable{errc::unavailable, "nobody is there"};
const error refused{errc::invalid_argument, "not like this"};

std::string all_due(send_lanes& lanes, std::uint64_t durable, steady_time now = start) {
  std::string all;
  while (const auto due = lanes.next_durable(durable, now)) {
    all += *due->target + std::to_string(due->number) + ' ';
  }
  return all;
}

bool goes(send_lanes& lanes, const std::string& target, steady_time now = start,
          std::uint64_t durable = 9) {
  return lanes.next_of(target, durable, now).has_value();
}

send_verdict ends(send_lanes& lanes, const std::string& target, const error* failure = nullptr,
                  steady_time now = start) {
  return lanes.answered(target, failure, false, now, hour);
}

TEST_CASE("a send goes when its commit is durable, and not twice") {
  send_lanes lanes;
  lanes.add("a/1", 7, 3);
  CHECK(all_due(lanes, 2).empty());
  CHECK(all_due(lanes, 3) == "a/17 ");
  CHECK(all_due(lanes, 3).empty());
  CHECK_FALSE(goes(lanes, "a/1"));  // it is on its way
}

TEST_CASE("sends to one receiver go one at a time and in order; others do not wait for them") {
  send_lanes lanes;
  lanes.add("a/", 1, 1);
  lanes.add("a/", 2, 1);
  lanes.add("b/", 3, 1);
  CHECK(all_due(lanes, 1) == "a/1 b/3 ");
  CHECK(lanes.size() == 3);
  CHECK(ends(lanes, "a/").what == step::ended);
  const auto second = lanes.next_of("a/", 1, start);
  REQUIRE(second);
  CHECK(second->number == 2);
  CHECK(ends(lanes, "a/").what == step::ended);
  CHECK(ends(lanes, "b/").what == step::ended);
  CHECK(lanes.empty());
}

TEST_CASE("the next of a lane that is not durable goes when it is") {
  send_lanes lanes;
  lanes.add("a/", 1, 1);
  CHECK(all_due(lanes, 1) == "a/1 ");
  lanes.add("a/", 2, 2);
  CHECK(ends(lanes, "a/").what == step::ended);
  CHECK_FALSE(lanes.next_of("a/", 1, start));
  CHECK(all_due(lanes, 1).empty());
  CHECK(all_due(lanes, 2) == "a/2 ");
}

TEST_CASE("an answer to what is not on its way changes nothing") {
  send_lanes lanes;
  CHECK(ends(lanes, "a/").what == step::ignore);
  lanes.add("a/", 1, 1);
  CHECK(ends(lanes, "a/").what == step::ignore);
  CHECK(all_due(lanes, 1) == "a/1 ");
}

TEST_CASE("who cannot be reached is tried again, twice as late each time, up to the longest") {
  send_lanes lanes;
  lanes.add("a/", 1, 1);
  REQUIRE(all_due(lanes, 1) == "a/1 ");
  auto now = start;
  std::vector<milliseconds> waits;
  for (int tries = 0; tries < 12; ++tries) {
    const auto verdict = ends(lanes, "a/", &unreachable, now);
    REQUIRE(verdict.what == step::again);
    CHECK(lanes.any_fails());
    CHECK_FALSE(goes(lanes, "a/", verdict.retry_at - duration{1}));
    waits.push_back(std::chrono::duration_cast<milliseconds>(verdict.retry_at - now));
    now = verdict.retry_at;
    REQUIRE(goes(lanes, "a/", now));
  }
  CHECK(waits.front() == milliseconds{20});
  CHECK(waits[1] == milliseconds{40});
  CHECK(waits.back() == milliseconds{5000});
  CHECK(ends(lanes, "a/", nullptr, now).what == step::ended);
  CHECK_FALSE(lanes.any_fails());
}

TEST_CASE("what waits for its next try goes at that time, and the earliest is told") {
  send_lanes lanes;
  lanes.add("a/", 1, 1);
  lanes.add("b/", 2, 1);
  REQUIRE(all_due(lanes, 1) == "a/1 b/2 ");
  const auto at_a = ends(lanes, "a/", &unreachable).retry_at;
  const auto at_b = ends(lanes, "b/", &unreachable, start + milliseconds{5}).retry_at;
  std::string gone;
  const auto note = [&](const due_send& due) { gone += *due.target; };
  CHECK(lanes.retry(1, start, note) == at_a);
  CHECK(gone.empty());
  CHECK(lanes.retry(1, at_a, note) == at_b);
  CHECK(gone == "a/");
}

TEST_CASE("that sends wait for long is told of once, with how many they are") {
  send_lanes lanes;
  for (std::uint64_t number = 1; number <= 3; ++number) {
    lanes.add("a/", number, 1);
  }
  REQUIRE(all_due(lanes, 1) == "a/1 ");
  CHECK(ends(lanes, "a/", &unreachable).warn_of == 0);
  const auto later = start + minutes{1};
  REQUIRE(goes(lanes, "a/", later));
  CHECK(ends(lanes, "a/", &unreachable, later).warn_of == 3);
  REQUIRE(goes(lanes, "a/", later + minutes{1}));
  CHECK(ends(lanes, "a/", &unreachable, later + minutes{1}).warn_of == 0);
}

TEST_CASE("who cannot be reached for too long is given up") {
  send_lanes lanes;
  lanes.add("a/", 1, 1);
  lanes.add("a/", 2, 1);
  REQUIRE(all_due(lanes, 1) == "a/1 ");
  REQUIRE(ends(lanes, "a/", &unreachable).what == step::again);
  const auto over = start + hour;
  REQUIRE(goes(lanes, "a/", over));
  CHECK(ends(lanes, "a/", &unreachable, over).what == step::dead);
  CHECK(goes(lanes, "a/", over));  // the next begins anew
  CHECK(ends(lanes, "a/", &unreachable, over).what == step::again);
}

TEST_CASE("a receiver that refuses gets five tries, however often it was not reached") {
  send_lanes lanes;
  lanes.add("a/", 1, 1);
  REQUIRE(all_due(lanes, 1) == "a/1 ");
  auto now = start;
  for (std::uint32_t tries = 1; tries < send_lanes::failures_max; ++tries) {
    for (const auto* why : {&unreachable, &refused}) {
      const auto verdict = ends(lanes, "a/", why, now);
      REQUIRE(verdict.what == step::again);
      now = verdict.retry_at;
      REQUIRE(goes(lanes, "a/", now));
    }
  }
  CHECK(ends(lanes, "a/", &refused, now).what == step::dead);
  CHECK(lanes.empty());
}

TEST_CASE("what the receiver remembers to have failed is given up at once") {
  send_lanes lanes;
  lanes.add("a/", 1, 1);
  REQUIRE(all_due(lanes, 1) == "a/1 ");
  CHECK(lanes.answered("a/", &unreachable, true, start, hour).what == step::dead);
  CHECK(lanes.empty());
  CHECK_FALSE(lanes.any_fails());
}

}  // namespace
}  // namespace millrace::runtime::detail
