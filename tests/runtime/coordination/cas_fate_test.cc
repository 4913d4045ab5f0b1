// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <set>

#include "coordination/coordination_store.h"

namespace millrace::runtime {
namespace {

stored_partition record(std::uint64_t version, std::uint64_t nonce) {
  stored_partition made;
  made.version = version;
  made.nonce = nonce;
  return made;
}

TEST_CASE("a compare-and-set whose nonce is found has succeeded") {
  CHECK(fate_of(record(4, 77), record(5, 77)) == cas_fate::succeeded);
  CHECK(fate_of(record(0, 77), record(1, 77)) == cas_fate::succeeded);
}

TEST_CASE("a compare-and-set is lost once another record has a higher version") {
  CHECK(fate_of(record(4, 77), record(5, 78)) == cas_fate::lost);
  CHECK(fate_of(record(0, 77), record(9, 78)) == cas_fate::lost);
}

// Goal: "I read again and it had not happened" decides nothing (rule S2).
TEST_CASE("a compare-and-set of which nothing is seen yet may still happen") {
  CHECK(fate_of(record(4, 77), record(4, 76)) == cas_fate::unknown);
  CHECK(fate_of(record(0, 77), std::nullopt) == cas_fate::unknown);
}

TEST_CASE("a store that has gone back decides nothing") {
  CHECK(fate_of(record(4, 77), std::nullopt) == cas_fate::unknown);
  CHECK(fate_of(record(4, 77), record(3, 75)) == cas_fate::unknown);
}

TEST_CASE("nonces differ") {
  std::set<std::uint64_t> seen;
  for (int at = 0; at < 1000; ++at) {
    CHECK(seen.insert(mint_nonce()).second);
  }
  CHECK_FALSE(seen.contains(0));
}

}  // namespace
}  // namespace millrace::runtime
