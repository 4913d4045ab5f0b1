// SPDX-License-Identifier: MIT
// What a host program sees of actors on one silo, with rows in memory.
#include <doctest/doctest.h>

#include "runtime/silo/counter.h"

namespace millrace::testing {
TEST_CASE("an actor answers on first use") {
  silo here{make_memory_storage()};
  here.add<counter>();
  REQUIRE(here.start());
  auto answer = here.call(ref<Counter>("a").add(5));
  REQUIRE(answer);
  CHECK(answer->total() == 5);
}
}  // namespace millrace::testing
