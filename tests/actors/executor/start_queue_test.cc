// SPDX-License-Identifier: MIT
// Which attempts of one executor hold a slot, without processes.
#include "executor/start_queue.h"

#include <doctest/doctest.h>

namespace millrace::actors {
namespace {

TEST_CASE("attempts start by priority, then in the order of their grants, one a slot") {
  start_queue<int> queue{2};
  CHECK_FALSE(queue.next());
  queue.add("low", 10, 1, 1);
  queue.add("second", 50, 3, 3);
  queue.add("first", 50, 2, 2);
  queue.add("high", 90, 4, 4);
  CHECK(queue.next() == 4);
  CHECK(queue.next() == 2);
  CHECK_FALSE(queue.next());
  queue.free_slot();
  CHECK(queue.next() == 3);
  CHECK_FALSE(queue.next());
  queue.free_slot();
  queue.free_slot();
  CHECK(queue.next() == 1);
  CHECK_FALSE(queue.next());
}

TEST_CASE("an attempt that comes again waits once, and one that is withdrawn does not start") {
  start_queue<int> queue{1};
  queue.add("a", 50, 1, 1);
  queue.add("a", 50, 1, 1);
  queue.add("b", 50, 2, 2);
  CHECK(queue.remove("a") == 1);
  CHECK_FALSE(queue.remove("a"));
  CHECK(queue.next() == 2);
  CHECK_FALSE(queue.remove("b"));
}

// Goal: what was granted ahead does not come between attempts that start together.
TEST_CASE("a slot that is kept for an attempt is given to no other one until it is forgotten") {
  start_queue<int> queue{3};
  queue.reserve("rank 0");
  queue.reserve("rank 1");
  queue.add("high", 90, 4, 4);
  queue.add("higher", 95, 5, 5);
  CHECK(queue.next() == 5);
  CHECK_FALSE(queue.next());
  queue.add("rank 1", 50, 2, 2);
  CHECK(queue.next() == 2);
  CHECK_FALSE(queue.next());
  CHECK_FALSE(queue.forget("rank 1"));  // it has taken it
  SUBCASE("it comes") {
    queue.add("rank 0", 50, 1, 1);
    CHECK(queue.next() == 1);
    CHECK_FALSE(queue.next());
    queue.free_slot();
    CHECK(queue.next() == 4);
  }
  SUBCASE("it is withdrawn") {
    CHECK(queue.forget("rank 0"));
    CHECK_FALSE(queue.forget("rank 0"));
    CHECK(queue.next() == 4);
  }
  SUBCASE("one that runs longer than its grant leaves no slot to have") {
    queue.free_slot();
    queue.free_slot();
    for (const auto* more : {"a", "b", "c"}) {
      queue.reserve(more);
      queue.add(more, 50, 6 + static_cast<std::uint64_t>(*more), *more);
    }
    CHECK(queue.next() == 'a');
    CHECK(queue.next() == 'b');
    CHECK(queue.next() == 'c');
    CHECK_FALSE(queue.next());
  }
}

}  // namespace
}  // namespace millrace::actors
