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

}  // namespace
}  // namespace millrace::actors
