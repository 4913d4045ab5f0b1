// SPDX-License-Identifier: MIT
#include "storage/catch_up_queue.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

constexpr steady_time start{std::chrono::hours{1}};
constexpr duration patience = std::chrono::seconds{1};
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
      queue.sent(*turn, 0, mebibyte, start);
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
    queue.sent(*queue.next(start), 0, 10, start);
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
    queue.acknowledged(to, 119);
    CHECK(queue.is_busy_with(to));
    queue.acknowledged(to, 120);
    CHECK_FALSE(queue.is_busy_with(to));
    queue.add_entries(to, 1, 120, start + patience);
    const auto again = queue.next(start + patience);
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

TEST_CASE("a copy that asks for rows has no use for entries, and the other way round") {
  catch_up_queue queue{patience};
  const auto to = copy_of(1);
  queue.add_entries(to, 1, 9, start);
  queue.add_rows(to, rows_from(to, ""), start);
  const auto rows = queue.next(start);
  REQUIRE(rows);
  CHECK(rows->rows);
  CHECK_FALSE(queue.next(start));
  queue.sent(*rows, 0, 10, start);
  queue.add_entries(to, 10, 11, start);
  const auto entries = queue.next(start);
  REQUIRE(entries);
  CHECK(entries->first_seq == 10);
  CHECK_FALSE(entries->rows);
}

}  // namespace
}  // namespace millrace::runtime
