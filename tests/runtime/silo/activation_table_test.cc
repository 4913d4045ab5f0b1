// SPDX-License-Identifier: MIT
#include "silo/activation_table.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

namespace millrace::testing {
namespace {

using runtime::actor_hash;
using runtime::detail::activation;
using runtime::detail::activation_table;

// Never looked at: the table only keeps addresses.
activation* address(std::uintptr_t number) {
  return reinterpret_cast<activation*>(number);
}

// Goal: the table holds what a map would, whatever collides and is erased in whatever order.
// Method: random insertions and erasures of hashes that share few places, at the end of the table
// too, so that runs of taken places are long and wrap around; after each, all are looked up.
TEST_CASE("a table of activations holds what was put in and not erased") {
  std::mt19937_64 random{7};
  activation_table table;
  std::map<actor_hash, activation*> known;
  std::uintptr_t next = 0;
  for (int step = 0; step < 20'000; ++step) {
    // Grows for a while, then shrinks, again and again.
    const auto grows = random() % 100 < (step / 2'000 % 2 == 0 ? 70U : 30U);
    const actor_hash hash{random() % 4, static_cast<std::uint64_t>(random() % 64) - 8};
    if (grows) {
      const auto [one, fresh] = table.find_or_make(hash, [&] { return address(++next); });
      CHECK(fresh == !known.contains(hash));
      CHECK(known.try_emplace(hash, one).first->second == one);
    } else {
      table.erase(hash);
      known.erase(hash);
    }
    for (std::uint64_t high = 0; high < 4; ++high) {
      const actor_hash each{high, hash.low};
      const auto found = known.find(each);
      CHECK(table.find(each) == (found == known.end() ? nullptr : found->second));
    }
  }
  for (const auto& [hash, one] : known) {
    CHECK(table.find(hash) == one);
  }
}

TEST_CASE("an empty table of activations finds nothing, and erasing from it does nothing") {
  activation_table table;
  CHECK(table.find({1, 2}) == nullptr);
  table.erase({1, 2});
  CHECK(table.find_or_make({1, 2}, [] { return address(3); }).second);
  table.erase({1, 2});
  CHECK(table.find({1, 2}) == nullptr);
}

}  // namespace
}  // namespace millrace::testing
