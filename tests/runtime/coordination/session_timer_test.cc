// SPDX-License-Identifier: MIT
#include "coordination/session_timer.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

using namespace std::chrono_literals;
constexpr steady_time start{1h};

TEST_CASE("a session is renewed three times in its time to live") {
  session_timer timer{6s, start};
  CHECK(timer.next_renewal() == start + 2s);
  CHECK(timer.renewal_deadline(start + 2s) == start + 4s);
  timer.renewed(start + 2s);
  CHECK(timer.next_renewal() == start + 4s);
}

TEST_CASE("a session holds from when its renewal was sent, not from its answer") {
  session_timer timer{6s, start};
  CHECK(timer.held_until() == start + 6s);
  timer.renewed(start + 2s);
  CHECK(timer.held_until() == start + 8s);
}

TEST_CASE("a renewal that failed is tried again sooner, and lengthens nothing") {
  session_timer timer{6s, start};
  timer.failed(start + 4s);
  CHECK(timer.next_renewal() == start + 4600ms);
  CHECK(timer.held_until() == start + 6s);
}

TEST_CASE("a late answer shortens nothing") {
  session_timer timer{6s, start};
  timer.renewed(start + 4s);
  timer.renewed(start + 2s);
  CHECK(timer.held_until() == start + 10s);
  CHECK(timer.next_renewal() == start + 6s);
}

}  // namespace
}  // namespace millrace::runtime
