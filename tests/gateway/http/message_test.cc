// SPDX-License-Identifier: MIT
#include "http/message.h"

#include <doctest/doctest.h>

namespace millrace::gateway::http {

TEST_CASE("a target is taken apart into decoded segments and query parameters") {
  request asked;
  REQUIRE(asked.set_target("/api/v1/runs/a%2Fb%20c/?state=x+y&flag&k=%3d%26&k=2"));
  REQUIRE(asked.segment_count() == 4);
  CHECK(asked.segment(2) == "runs");
  CHECK(asked.segment(3) == "a/b c");
  CHECK(asked.query("state") == "x y");
  CHECK(asked.query("flag") == "");
  CHECK(asked.query("k") == "=&");
  CHECK_FALSE(asked.query("none"));
  CHECK(asked.query_count() == 4);
  CHECK(asked.query_at(3).second == "2");
  CHECK(asked.path() == "/api/v1/runs/a%2Fb%20c/");
}

TEST_CASE("a plus sign is itself in a path") {
  request asked;
  REQUIRE(asked.set_target("/a+b"));
  CHECK(asked.segment(0) == "a+b");
}

TEST_CASE("the absolute form counts by its path") {
  request asked;
  REQUIRE(asked.set_target("http://host:80/x?y=1"));
  CHECK(asked.segment(0) == "x");
  CHECK(asked.query("y") == "1");
  REQUIRE(asked.set_target("http://host"));
  CHECK(asked.segment_count() == 0);
  REQUIRE(asked.set_target("http://host?y=2"));
  CHECK(asked.query("y") == "2");
}

TEST_CASE("a target that is no path is refused") {
  for (const auto* bad : {"", "x", "ftp://a/b", "/%", "/%4", "/%zz", "/a/%00", "/a/../b", "/./a",
                          "/%2e%2E/etc", "/x?a=%f", "host:443"}) {
    request asked;
    CAPTURE(bad);
    CHECK_FALSE(asked.set_target(bad));
  }
}

TEST_CASE("header names compare without case and keep their order") {
  header_list headers{{"Content-Type", "a"}, {"X-One", "1"}, {"x-one", "2"}};
  CHECK(headers.find("content-type") == "a");
  CHECK(headers.find("X-ONE") == "1");
  CHECK(headers.count("X-One") == 2);
  CHECK_FALSE(headers.find("X-On"));
  CHECK(headers.at(2).value == "2");
  headers.clear();
  CHECK(headers.size() == 0);
}

TEST_CASE("a copied request keeps its parts") {
  request asked;
  REQUIRE(asked.set_target("/a/b?c=d"));
  const auto copy = asked;
  asked.clear();
  CHECK(copy.segment(1) == "b");
  CHECK(copy.query("c") == "d");
}

}  // namespace millrace::gateway::http
