// SPDX-License-Identifier: MIT
#include "millrace/actors/run_id.h"

#include <doctest/doctest.h>

#include <string>

namespace millrace::actors {

using namespace std::chrono_literals;

TEST_CASE("ids of one source ascend, within a millisecond and when the clock goes back") {
  ascending_run_ids ids;
  const runtime::wall_time start{1'700'000'000s};
  auto last = ids.next(start);
  CHECK(last.starts_with("018bcfe5-6800-7"));
  auto ascend = true;
  for (int count = 0; count < 10'000; ++count) {
    const auto next = ids.next(count < 9'000 ? start : start - 1h);
    ascend = ascend && is_run_id(next) && last < next;
    last = next;
  }
  CHECK(ascend);
  CHECK(last < "018bcfe5-6808-7");  // few milliseconds ahead of the clock
  CHECK(ids.next(start + 1s).starts_with("018bcfe5-6be8-7"));
}

TEST_CASE("ids of two sources differ") {
  ascending_run_ids one;
  ascending_run_ids other;
  const runtime::wall_time now{1'700'000'000s};
  CHECK(one.next(now) != other.next(now));
}

}  // namespace millrace::actors
