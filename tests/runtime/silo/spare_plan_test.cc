// SPDX-License-Identifier: MIT
#include "silo/spare_plan.h"

#include <doctest/doctest.h>

namespace millrace::runtime::detail {
namespace {

// Both threads of a silo are in turns, and somebody waits.
thread_look held(std::uint64_t turns = 7) {
  return {.threads = 2, .busy = 2, .turns = turns, .work_waits = true};
}

TEST_CASE("a spare thread is made when two looks in a row find all threads in the same turns") {
  spare_plan plan{8};
  CHECK(plan.next(held()) == spare_step::none);
  CHECK(plan.next(held()) == spare_step::add);
}

TEST_CASE("none is made while a thread moves, is free, or nothing waits") {
  spare_plan plan{8};
  for (std::uint64_t turns = 0; turns < 5; ++turns) {
    CHECK(plan.next(held(turns)) == spare_step::none);
  }
  auto one_free = held();
  one_free.busy = 1;
  CHECK(plan.next(one_free) == spare_step::none);
  CHECK(plan.next(one_free) == spare_step::none);
  auto no_work = held();
  no_work.work_waits = false;
  CHECK(plan.next(no_work) == spare_step::none);
  CHECK(plan.next(no_work) == spare_step::none);
  CHECK(plan.next(held()) == spare_step::add);  // it has come, and they have been held all along
}

TEST_CASE("another is made only when the one before is held as well, up to the most") {
  spare_plan plan{2};
  static_cast<void>(plan.next(held()));
  REQUIRE(plan.next(held()) == spare_step::add);
  auto with_one = held();
  with_one.spares = 1;
  CHECK(plan.next(with_one) == spare_step::none);
  with_one.spares_busy = 1;
  CHECK(plan.next(with_one) == spare_step::none);
  CHECK(plan.next(with_one) == spare_step::add);
  auto with_two = with_one;
  with_two.spares = with_two.spares_busy = 2;
  for (int at = 0; at < 3; ++at) {
    CHECK(plan.next(with_two) == spare_step::none);
  }
}

TEST_CASE("spare threads go when a thread of the silo is free or moves again") {
  spare_plan plan{8};
  auto now = held();
  now.spares = now.spares_busy = 1;
  CHECK(plan.next(now) == spare_step::none);
  now.free = 1;
  ++now.turns;
  CHECK(plan.next(now) == spare_step::dismiss);
  now.spares = now.spares_busy = 0;
  ++now.turns;
  CHECK(plan.next(now) == spare_step::none);
}

}  // namespace
}  // namespace millrace::runtime::detail
