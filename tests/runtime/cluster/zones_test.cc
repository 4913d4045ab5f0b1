// SPDX-License-Identifier: MIT
// Where the copies of a cluster's silos lie, and when others are made.
#include <doctest/doctest.h>

#include <algorithm>

#include "millrace/testing/test_cluster.h"
#include "runtime/silo/counter.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

std::string rack(const std::string& silo) {
  return silo == "a" || silo == "b" ? "rack-1" : "rack-2";
}

// Method: two racks of two silos, two copies; a silo goes, and stays away.
TEST_CASE("the copies of a partition are in different zones, and so are those that replace them") {
  test_cluster_options options{.silos = {"a", "b", "c", "d"}, .copies = 2, .partitions = 8};
  options.adjust = [](runtime::silo_options& of) {
    of.cluster->zone = rack(of.name);
    of.cluster->replace_after = 20s;
  };
  test_cluster cluster{[](silo& here) { here.add<counter>(); }, options};
  const auto all = [&](auto&& is_so) {
    const auto seen = cluster.at("b").cluster_view();
    return std::all_of(seen.partitions.begin(), seen.partitions.end(), is_so);
  };
  const auto is_spread = [](const auto& each) {
    return each.in_sync.size() == 2 && rack(each.in_sync[0]) != rack(each.in_sync[1]);
  };
  REQUIRE(cluster.until([&] { return all(is_spread); }));
  CHECK(cluster.at("b").cluster_view().silos.back().zone == "rack-2");

  const auto has_none_of_a = [](const auto& each) {
    return std::find(each.in_sync.begin(), each.in_sync.end(), "a") == each.in_sync.end();
  };
  REQUIRE_FALSE(all(has_none_of_a));
  SUBCASE("one dies") {
    cluster.kill("a");
  }
  SUBCASE("one stops in good order") {
    cluster.stop("a");
  }
  REQUIRE(cluster.until([&] { return all(has_none_of_a); }, 5s));
  cluster.advance(14s);
  CHECK_FALSE(all(is_spread));  // it may be back
  CHECK(cluster.until([&] { return all(is_spread); }, 20s));
}

}  // namespace
}  // namespace millrace::testing
