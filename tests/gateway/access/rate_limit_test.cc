// SPDX-License-Identifier: MIT
#include "access/rate_limit.h"

#include <doctest/doctest.h>

#include "http/address_group.h"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;

const runtime::steady_time start{1h};

unsigned taken(rate_limit& limit, std::string_view name, runtime::steady_time now) {
  unsigned count = 0;
  while (!limit.take(name, now)) {
    ++count;
  }
  return count;
}

TEST_CASE("a burst goes at once, then one an interval, and who has paused has a burst again") {
  rate_limit limit{100ms, 5};
  CHECK(taken(limit, "a", start) == 5);
  CHECK(limit.take("a", start) == 100ms);
  CHECK(limit.take("a", start + 40ms) == 60ms);
  CHECK(taken(limit, "a", start + 99ms) == 0);
  CHECK(taken(limit, "a", start + 100ms) == 1);
  CHECK(taken(limit, "a", start + 400ms) == 3);
  CHECK(taken(limit, "a", start + 10s) == 5);
}

TEST_CASE("over a long time it is the rate that counts") {
  rate_limit limit{10ms, 20};
  unsigned count = 0;
  for (auto now = start; now < start + 10s; now += 1ms) {
    count += limit.take("a", now) ? 0 : 1;
  }
  CHECK(count == 1000 + 19);
}

TEST_CASE("names do not count for each other") {
  rate_limit limit{1s, 2};
  CHECK(taken(limit, "a", start) == 2);
  CHECK(taken(limit, "b", start) == 2);
  CHECK(limit.take("a", start));
}

TEST_CASE("names are few: those that have paused are forgotten, others share one") {
  rate_limit limit{1s, 1};
  for (std::size_t each = 0; each < rate_limit::names_max; ++each) {
    REQUIRE_FALSE(limit.take(std::to_string(each), start));
  }
  CHECK_FALSE(limit.take("x", start));
  CHECK(limit.take("y", start) == 1s);
  CHECK(limit.size() == rate_limit::names_max + 1);
  CHECK(limit.take("7", start + 999ms));
  CHECK_FALSE(limit.take("y", start + 2s));
  CHECK_FALSE(limit.take("z", start + 2s));
  CHECK(limit.size() == 2);
}

TEST_CASE("an address counts for itself, or for its network of IPv6") {
  CHECK(http::address_group("10.1.2.3") == "10.1.2.3");
  CHECK(http::address_group("::ffff:10.1.2.3") == "10.1.2.3");
  CHECK(http::address_group("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
  CHECK(http::address_group("2001:db8:1:2::1") == "2001:db8:1:2::/64");
  CHECK(http::address_group("2001:db8:1:3::1") == "2001:db8:1:3::/64");
  CHECK(http::address_group("fe80::1%eth0") == "fe80::%eth0/64");
  CHECK(http::address_group("what%ever") == "what%ever");
  CHECK(http::address_group("") == "");
}

}  // namespace
}  // namespace millrace::gateway
