// SPDX-License-Identifier: MIT
#include "link/strangers.h"

#include <doctest/doctest.h>

namespace millrace::runtime {

TEST_CASE("room is made by the oldest of the largest crowd") {
  CHECK(who_makes_room({"a"}) == 0);
  CHECK(who_makes_room({"a", "b", "b"}) == 1);
  CHECK(who_makes_room({"a", "b", "c", "c", "b", "c"}) == 2);
  CHECK(who_makes_room({"a", "b", "c"}) == 0);       // no crowd: who was first
  CHECK(who_makes_room({"b", "a", "b", "a"}) == 0);  // two of a size: who was first
}

TEST_CASE("an address of IPv6 counts with all of its network, one of IPv4 by itself") {
  CHECK(site_of("10.0.0.1") != site_of("10.0.0.2"));
  CHECK(site_of("2001:db8:1:2::1") == site_of("2001:db8:1:2:ffff::9"));
  CHECK(site_of("2001:db8:1:2::1") != site_of("2001:db8:1:3::1"));
  CHECK(site_of("::ffff:10.0.0.1") != site_of("::ffff:10.0.0.2"));
  CHECK(site_of("::ffff:10.0.0.1") == site_of("::ffff:10.0.0.1"));
  CHECK(site_of("fe80::1%eth0") == site_of("fe80::2%eth0"));
}

}  // namespace millrace::runtime
