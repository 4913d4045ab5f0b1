// SPDX-License-Identifier: MIT
#include "coordination/etcd_endpoints.h"

#include <doctest/doctest.h>

namespace millrace::runtime {
namespace {

using namespace std::chrono_literals;
constexpr steady_time start{1h};
constexpr etcd_header newer{1, 20, 3};

TEST_CASE("the endpoint that answered is asked again, a silent one rests") {
  etcd_endpoints endpoints{3};
  CHECK(endpoints.pick(start) == 0);
  endpoints.failed(0, start);
  CHECK(endpoints.pick(start) == 1);
  CHECK(endpoints.accept(1, newer, endpoints.seen(), start));
  CHECK(endpoints.pick(start + 1h) == 1);
  endpoints.failed(1, start + 1h);
  CHECK(endpoints.pick(start + 1h) == 2);
}

TEST_CASE("when all rest, the one is asked that has rested longest") {
  etcd_endpoints endpoints{2};
  endpoints.failed(0, start);
  endpoints.failed(1, start + 1s);
  CHECK(endpoints.pick(start + 1s) == 0);
}

TEST_CASE("an answer from before what was seen is refused, and its endpoint skipped") {
  for (const auto& gone_back :
       {etcd_header{1, 19, 3}, etcd_header{1, 20, 2}, etcd_header{2, 99, 9}}) {
    etcd_endpoints endpoints{2};
    REQUIRE(endpoints.accept(0, newer, endpoints.seen(), start));
    CHECK_FALSE(endpoints.accept(0, gone_back, endpoints.seen(), start));
    CHECK(endpoints.seen() == newer);
    endpoints.failed(1, start);
    CHECK(endpoints.pick(start + 29s) == 1);
  }
}

// Goal: answers that cross each other are no reason to refuse the older one.
TEST_CASE("an answer is compared with what was seen when its request was sent") {
  etcd_endpoints endpoints{1};
  REQUIRE(endpoints.accept(0, {1, 10, 3}, endpoints.seen(), start));
  const auto seen = endpoints.seen();
  REQUIRE(endpoints.accept(0, newer, seen, start));
  CHECK(endpoints.accept(0, {1, 15, 3}, seen, start));
  CHECK(endpoints.seen() == newer);
}

TEST_CASE("after a failure the version is asked for anew") {
  etcd_endpoints endpoints{1};
  CHECK_FALSE(endpoints.is_checked(0));
  endpoints.checked(0);
  CHECK(endpoints.is_checked(0));
  endpoints.failed(0, start);
  CHECK_FALSE(endpoints.is_checked(0));
}

}  // namespace
}  // namespace millrace::runtime
