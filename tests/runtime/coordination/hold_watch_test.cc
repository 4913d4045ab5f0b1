// SPDX-License-Identifier: MIT
#include "coordination/hold_watch.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

unsigned looks_until_too_long(hold_watch& watch, std::uint64_t holder, std::uint32_t releases) {
  unsigned looks = 1;
  while (!watch.is_too_long(holder, releases)) {
    ++looks;
  }
  return looks;
}

TEST_CASE("a hold is too long after forty looks at it, and counted anew") {
  hold_watch watch;
  CHECK(looks_until_too_long(watch, 7, 1) == hold_watch::looks_max + 1);
  CHECK(looks_until_too_long(watch, 7, 1) == hold_watch::looks_max + 1);
}

TEST_CASE("another holder, or another hold of the same one, begins anew") {
  hold_watch watch;
  for (unsigned look = 0; look < hold_watch::looks_max; ++look) {
    CHECK_FALSE(watch.is_too_long(7, 1));
  }
  CHECK(looks_until_too_long(watch, 8, 1) == hold_watch::looks_max + 1);
  for (unsigned look = 0; look < hold_watch::looks_max; ++look) {
    CHECK_FALSE(watch.is_too_long(7, 1));
  }
  CHECK(looks_until_too_long(watch, 7, 2) == hold_watch::looks_max + 1);
}

}  // namespace
}  // namespace millrace::runtime
