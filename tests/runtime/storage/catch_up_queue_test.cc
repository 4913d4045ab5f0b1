// SPDX-License-Identifier: MIT
#include "storage/catch_up_queue.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

constexpr steady_time start{std::chrono::hours{1}};
constexpr duration patience = std::chrono::seconds{10};
constexpr auto next_request = catch_up_queue::next_request;
constexpr std::size_t mebibyte = std::size_t{1} << 20U;

using place = catch_up_queue::place;

place copy_of(std::uint16_t partition) {
  return {partition_id{partition}, {{1, partition}, "b"}};
}

replica_effects::range_read rows_from(const place& to, const std::string& first) {
  return {to.copy, {}, first};
}

// Goal: a silo that comes back with all partitions at once has a few mebibytes on its way.
TEST_CASE("so much is on its way as was not acknowledged, and goes on with what is") {
  catch_up_queue queue{patience};
  for (std::uint16_t index = 0; index < 64; ++index) {
    queue.add_rows(copy_of(index), rows_from(copy_of(index), ""), start);
  }
  std::size_t flying = 0;
  std::uint16_t next = 0;
  const auto send_all = [&] {
    while (const auto turn = queue.next(start)) {
      CHECK(turn->to == copy_of(next++));
      REQUIRE(turn->rows);
      queue.sent(*turn, next_request, mebibyte, start);
      flying += mebibyte;
    }
  };
  send_all();
  CHECK(flying == catch_up_window_bytes);
  // It asks for the next range, which comes after what others wait for.
  queue.add_rows(copy_of(0), rows_from(copy_of(0), "k"), start);
  flying -= mebibyte;
  send_all();
  CHECK(flying == catch_up_window_bytes);
  CHECK(next == 5);
}

TEST_CASE("what is on its way is not sent again before it counts as lost") {
  catch_up_queue queue{patience};
  const auto to = copy_of(1);
  SUBCASE("rows") {
    queue.add_rows(to, rows_from(to, "k"), start);
    queue.sent(*queue.next(start), next_request, catch_up_window_bytes, start);
    queue.add_rows(to, rows_from(to, "k"), start + patience - duration{1});
    CHECK_FALSE(queue.next(start + patience - duration{1}));
    queue.add_rows(to, rows_from(to, "k"), start + patience);
    CHECK(queue.next(start + patience));
  }
  SUBCASE("entries") {
    queue.add_entries(to, 1, 100, start);
    const auto turn = queue.next(start);
    queue.sent(*turn, 40, 10, start);
    queue.add_entries(to, 41, 100, start);
    queue.add_entries(to, 1, 120, start);  // it was asked before they had come
    const auto rest = queue.next(start);
    REQUIRE(rest);
    CHECK(rest->first_seq == 41);
    CHECK(rest->last_seq == 120);
    queue.sent(*rest, 120, 10, start);
    queue.add_entries(to, 1, 120, start);
    CHECK_FALSE(queue.holds(to));
    CHECK(queue.is_busy_with(to));
    queue.acknowledged(to, 119, start);
    CHECK(queue.is_busy_with(to));
    queue.acknowledged(to, 120, start);
    CHECK_FALSE(queue.is_busy_with(to));
    queue.add_entries(to, 1, 120, start);
    const auto again = queue.next(start);
    REQUIRE(again);
    CHECK(again->first_seq == 1);
  }
}

TEST_CASE("new entries go behind those that wait for the same copy") {
  catch_up_queue queue{patience};
  queue.add_entries(copy_of(1), 5, 9, start);
  queue.add_entries(copy_of(2), 1, 2, start);
  queue.add_entries(copy_of(1), 10, 11, start);
  const auto first = queue.next(start);
  REQUIRE(first);
  CHECK(first->to == copy_of(1));
  CHECK(first->first_seq == 5);
  CHECK(first->last_seq == 11);
  REQUIRE(queue.next(start));
  CHECK_FALSE(queue.next(start));
}

// Goal: a slow link, or a slow disk, is sent nothing twice.
TEST_CASE("what is behind others on its way is not lost before these are") {
  catch_up_queue queue{patience};
  const auto first = copy_of(1);
  const auto second = copy_of(2);
  const auto third = copy_of(3);
  for (const auto& to : {first, second, third}) {
    queue.add_entries(to, 1, 9, start);
    queue.sent(*queue.next(start), 9, 10, start);
  }
  const auto late = start + patience - duration{1};
  queue.acknowledged(second, 9, late);
  queue.add_entries(first, 1, 9, start + patience);  // it was sent before, and has got lost
  queue.add_entries(third, 1, 9, start + patience);
  const auto again = queue.next(start + patience);
  REQUIRE(again);
  CHECK(again->to == first);
  CHECK_FALSE(queue.next(late + patience - duration{1}));
  queue.add_entries(third, 1, 9, late + patience);
  CHECK(queue.next(late + patience));
}

TEST_CASE("a copy that asks for rows has no use for entries before it has all of them") {
  catch_up_queue queue{patience};
  const auto to = copy_of(1);
  queue.add_entries(to, 1, 9, start);
  CHECK_FALSE(queue.has_rows_for(to));
  queue.add_rows(to, rows_from(to, ""), start);
  CHECK(queue.has_rows_for(to));
  const auto rows = queue.next(start);
  REQUIRE(rows);
  CHECK(rows->rows);
  CHECK_FALSE(queue.next(start));
  SUBCASE("of which others follow") {
    queue.sent(*rows, next_request, catch_up_window_bytes, start);
    queue.acknowledged(to, 9, start);  // of what it had before
    CHECK(queue.has_rows_for(to));
    queue.add_rows(to, rows_from(to, "k"), start);
    REQUIRE(queue.next(start));
  }
  SUBCASE("of which the last is acknowledged with the entry before those that it lacks") {
    queue.sent(*rows, 9, catch_up_window_bytes, start);
    queue.acknowledged(to, 8, start);
    CHECK(queue.has_rows_for(to));
    queue.acknowledged(to, 9, start);
  }
  SUBCASE("and says which it lacks then") {
    queue.sent(*rows, 9, catch_up_window_bytes, start);
    queue.end_rows(to, start);
  }
  SUBCASE("or asks for entries instead") {
    queue.add_rows(to, rows_from(to, "k"), start);
    queue.end_rows(to, start);
  }
  CHECK_FALSE(queue.is_busy_with(to));
  queue.add_entries(to, 10, 11, start);
  const auto entries = queue.next(start);  // the window is free
  REQUIRE(entries);
  CHECK(entries->first_seq == 10);
  CHECK_FALSE(entries->rows);
}

TEST_CASE("what is forgotten of a copy, or a partition, holds up nobody") {
  catch_up_queue queue{patience};
  const auto to = copy_of(1);
  queue.add_entries(to, 1, 9, start);
  queue.sent(*queue.next(start), 4, catch_up_window_bytes, start);
  queue.add_entries(to, 5, 9, start);
  queue.add_entries(copy_of(2), 1, 2, start);
  CHECK_FALSE(queue.next(start));
  SUBCASE("of a copy") {
    queue.forget(to, start);
  }
  SUBCASE("of a partition") {
    queue.forget(to.partition, start);
  }
  CHECK_FALSE(queue.is_busy_with(to));
  const auto next = queue.next(start);
  REQUIRE(next);
  CHECK(next->to == copy_of(2));
  queue.add_entries(to, 1, 9, start);
  CHECK(queue.next(start)->first_seq == 1);
}

}  // namespace
}  // namespace millrace::runtime
