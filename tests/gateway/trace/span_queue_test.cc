// SPDX-License-Identifier: MIT
// When which spans are sent, and which never are; time is moved by hand.
#include "trace/span_queue.h"

#include <doctest/doctest.h>

#include <string>

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using runtime::span;
using runtime::steady_time;

constexpr steady_time start{std::chrono::hours{1}};

span named(int number) {
  span made;
  made.name = std::to_string(number);
  return made;
}

// A queue that has been given so many spans at `start`.
span_queue with(int count, span_queue_limits limits = {}) {
  span_queue made{limits};
  for (int number = 1; number <= count; ++number) {
    made.add(named(number), start);
  }
  return made;
}

TEST_CASE("spans are sent together a second after the first") {
  span_queue queue;
  CHECK(queue.due() == steady_time::max());
  CHECK(queue.batch(start).empty());
  queue.add(named(1), start);
  queue.add(named(2), start + 900ms);
  CHECK(queue.due() == start + 1s);
  CHECK(queue.batch(start + 1s - 1ns).empty());
  const auto& batch = queue.batch(start + 1s);
  REQUIRE(batch.size() == 2);
  CHECK(batch[0].name == "1");
  CHECK(queue.size() == 2);
  queue.settle(batch_outcome::taken, start + 1s);
  CHECK(queue.size() == 0);
  CHECK(queue.sent() == 2);
  CHECK(queue.due() == steady_time::max());
}

TEST_CASE("a full batch is sent at once, and what is over waits for the next") {
  auto queue = with(5, {.batch_max = 2});
  CHECK(queue.batch(start).size() == 2);
  queue.settle(batch_outcome::taken, start);
  CHECK(queue.batch(start).front().name == "3");
  queue.settle(batch_outcome::taken, start);
  CHECK(queue.batch(start).empty());
  CHECK(queue.batch(start + 1s).front().name == "5");
}

TEST_CASE("past its bound a queue drops what comes, and counts it") {
  auto queue = with(5, {.spans_max = 3, .batch_max = 2});
  CHECK(queue.size() == 3);
  CHECK(queue.dropped() == 2);
  CHECK(queue.batch(start).size() == 2);
  queue.add(named(6), start);  // what is under way counts, too
  CHECK(queue.dropped() == 3);
  queue.settle(batch_outcome::taken, start);
  queue.add(named(7), start);
  CHECK(queue.size() == 2);
  CHECK(queue.dropped() == 3);
}

TEST_CASE("what could not be sent is sent again, later each time, and then given up") {
  auto queue = with(2, {.retry_first = 1s, .retry_max = 4s, .give_up_after = 10s});
  auto now = start + 1s;
  for (const auto wait : {1s, 2s, 4s}) {
    REQUIRE(queue.batch(now).size() == 2);
    queue.settle(batch_outcome::later, now);
    CHECK(queue.due() == now + wait);
    CHECK(queue.batch(now + wait - 1ns).empty());
    now += wait;
  }
  CHECK(queue.dropped() == 0);
  REQUIRE(queue.batch(now).size() == 2);  // 7 s after the first
  queue.settle(batch_outcome::later, now);
  CHECK(queue.dropped() == 2);  // the next would be 11 s after it
  CHECK(queue.size() == 0);
  queue.add(named(3), now);
  CHECK(queue.batch(now + 4s - 1ns).empty());  // the collector is still left alone
  REQUIRE(queue.batch(now + 4s).size() == 1);
  queue.settle(batch_outcome::taken, now + 4s);
  queue.add(named(4), now + 4s);
  CHECK(queue.due() == now + 5s);
}

TEST_CASE("a collector that asks to be left alone for longer is") {
  auto queue = with(1);
  REQUIRE_FALSE(queue.batch(start + 1s).empty());
  queue.settle(batch_outcome::later, start + 1s, 30s);
  CHECK(queue.batch(start + 31s - 1ns).empty());
  CHECK(queue.batch(start + 31s).size() == 1);
  queue.settle(batch_outcome::later, start + 31s, 1h);  // longer than a batch is kept
  CHECK(queue.dropped() == 1);
  queue.add(named(2), start + 32s);
  CHECK(queue.due() == start + 31s + 1h);
}

TEST_CASE("what a collector refuses is dropped at once, and the next is sent") {
  auto queue = with(3, {.batch_max = 2});
  REQUIRE_FALSE(queue.batch(start).empty());
  queue.settle(batch_outcome::refused, start);
  CHECK(queue.dropped() == 2);
  CHECK(queue.batch(start + 1s).size() == 1);
  queue.settle(batch_outcome::taken, start + 1s, {}, 1);
  CHECK(queue.dropped() == 3);
  CHECK(queue.sent() == 0);
}

TEST_CASE("at the end all is due, and nothing is sent twice") {
  auto queue = with(3, {.batch_max = 2});
  REQUIRE(queue.batch(start).size() == 2);
  queue.settle(batch_outcome::later, start, 30s);
  queue.close();
  CHECK(queue.batch(start).size() == 2);
  queue.settle(batch_outcome::later, start);
  CHECK(queue.dropped() == 2);
  CHECK(queue.batch(start).size() == 1);
}

TEST_CASE("what was dropped is told at once, and then once a minute") {
  auto queue = with(2, {.spans_max = 1});
  CHECK(queue.report(start) == 1);
  CHECK_FALSE(queue.report(start + 1h));
  queue.add(named(3), start);
  queue.add(named(4), start);
  CHECK_FALSE(queue.report(start + 1min - 1ns));
  CHECK(queue.report(start + 1min) == 2);
  queue.add(named(5), start);
  queue.close();
  CHECK(queue.report(start + 1min) == 1);
}

}  // namespace
}  // namespace millrace::gateway
