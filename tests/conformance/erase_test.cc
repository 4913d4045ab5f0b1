// SPDX-License-Identifier: MIT
// Erased state: what is left of an actor, and what a new one of its name may rely on.
#include "conformance/ledger.h"

namespace millrace::conformance {
namespace {

// Rows that belong to an actor, in all partitions. (Section 4 has one row a partition, see
// row_layout.h.)
std::size_t rows_of_actors(ledger_silo& silo) {
  std::size_t count = 0;
  for (std::uint16_t index = 0; index < silo.rows().partition_count(); ++index) {
    const auto read = silo.rows().scan(partition_id{index}, {}, {}, SIZE_MAX, [&](const row& one) {
      count += one.key[0] == 4 ? 0 : 1;
      return true;
    });
    REQUIRE(read);
  }
  return count;
}

TEST_CASE("an erased actor leaves no row, and is as one that never was") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(7)));
  REQUIRE(silo.call(ref<Ledger>("a").keep_if("x", 1, 0, 0)));
  REQUIRE(silo.call(ref<Ledger>("a").remind("soon", 60'000)));
  CHECK(rows_of_actors(silo) > 3);
  REQUIRE(silo.call(ref<Ledger>("a").clear({}, 0, 0)));
  CHECK(rows_of_actors(silo) == 0);
  CHECK(silo.here().stats().activations == 0);
  CHECK(silo.here().stats().reminders == 0);
  CHECK(silo.here().stored_actors("ledger", {})->items.empty());
  silo.restart();
  CHECK(silo.total("a") == 0);
  CHECK(silo.amount("a", "x") == 0);
  silo.advance(2min);
  CHECK(silo.total("a") == 0);
  CHECK(rows_of_actors(silo) == 0);  // asking leaves none
}

TEST_CASE("what is changed after the erasure in the same turn is stored") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(7)));
  REQUIRE(silo.call(ref<Ledger>("a").keep_if("x", 1, 0, 0)));
  REQUIRE(silo.call(ref<Ledger>("a").clear({}, 0, 3)));
  CHECK(silo.total("a") == 3);
  CHECK(silo.amount("a", "x") == 0);
  silo.restart();
  CHECK(silo.total("a") == 3);
  CHECK(silo.amount("a", "x") == 0);
}

// Goal: an erasure that is taken back leaves nothing, and that the activation leaves is a part of
// it.
TEST_CASE("an actor whose erasure failed goes on as if there had been none") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(7)));
  REQUIRE(silo.call(ref<Ledger>("a").keep_if("x", 1, 0, 0)));
  REQUIRE_FALSE(silo.call(ref<Ledger>("a").clear({}, 0, -1)));
  CHECK(silo.here().stats().activations == 1);
  CHECK(silo.total("a") == 7);
  CHECK(silo.here().stats().activations == 1);
  silo.restart();
  CHECK(silo.total("a") == 7);
  CHECK(silo.amount("a", "x") == 1);
}

TEST_CASE("versions of an erased actor are not used again, and it may be written first again") {
  ledger_silo silo;
  std::uint64_t last = 0;
  for (int round = 0; round < 5; ++round) {
    last = silo.call(ref<Ledger>("a").set_if(round, last))->version();
  }
  REQUIRE(silo.call(ref<Ledger>("a").clear({}, 0, 0)));
  CHECK(silo.call(ref<Ledger>("a").set_if(1, last)).error().code() == errc::conflict);
  silo.restart();
  const auto again = silo.call(ref<Ledger>("a").set_if(1, 0));
  REQUIRE(again);
  CHECK(again->version() > last);
  CHECK(silo.call(ref<Ledger>("a").get())->version() == again->version());
  CHECK(silo.call(ref<Ledger>("a").set_if(1, 0)).error().code() == errc::conflict);
}

// Goal: the erasure does not take back what was sent with it, whenever the silo ends.
// Method: the receiver cannot be read at first, so the send waits in the outbox over the crash.
TEST_CASE("what an erased actor has sent arrives once, also over a crash") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(7)));
  silo.rows().fail_reads({errc::storage_failed, "planned"});
  REQUIRE(silo.call(ref<Ledger>("a").clear("b", 2, 0)));
  CHECK(silo.here().stored_actors("ledger", {})->items.empty());  // nobody is seen in either
  CHECK(rows_of_actors(silo) > 0);
  silo.crash();
  silo.start();
  CHECK(silo.total("b") == 2);
  CHECK(silo.total("a") == 0);
  silo.restart();
  CHECK(silo.here().stored_actors("ledger", {})->items.size() == 1);
  CHECK(silo.total("b") == 2);
}

// Goal: the sends of a new actor are not taken for those of an erased one of its name.
// Method: the crash comes before the receiver has stored that it may forget the last number.
TEST_CASE("an actor that was erased and is made again is heard") {
  ledger_silo silo;
  for (int round = 0; round < 3; ++round) {
    REQUIRE(silo.call(ref<Ledger>("a").pay("b", 1)));
  }
  silo.crash();
  silo.start();
  REQUIRE(silo.call(ref<Ledger>("a").clear({}, 0, 0)));
  silo.crash();
  silo.start();
  REQUIRE(silo.call(ref<Ledger>("a").pay("b", 1)));
  CHECK(silo.total("b") == 4);
}

TEST_CASE("an erased actor remembers the keyed calls that it has had") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(7).keyed("k")));
  REQUIRE(silo.call(ref<Ledger>("a").clear({}, 0, 0)));
  silo.restart();
  CHECK(silo.call(ref<Ledger>("a").add(7).keyed("k"))->total() == 7);
  CHECK(silo.total("a") == 0);
}

TEST_CASE("an erased actor remembers a delivery until its sender has forgotten it") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").pay("b", 1)));
  REQUIRE(silo.call(ref<Ledger>("b").clear({}, 0, 0)));
  REQUIRE(silo.call(ref<Ledger>("a").clear({}, 0, 0)));
  CHECK(rows_of_actors(silo) == 0);
}

TEST_CASE("an erasure in a method that fails has not been, nor what it has noted after it") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(7)));
  REQUIRE(silo.call(ref<Ledger>("a").keep_if("x", 1, 0, 0)));
  CHECK_FALSE(silo.call(ref<Ledger>("a").clear("b", 2, -1)));
  CHECK(silo.total("a") == 7);
  CHECK(silo.amount("a", "x") == 1);
  CHECK(silo.total("b") == 0);
  CHECK(silo.call(ref<Ledger>("a").has_note("lost"))->bytes() == -1);
  silo.restart();
  CHECK(silo.total("a") == 7);
  CHECK(silo.amount("a", "x") == 1);
  CHECK(silo.call(ref<Ledger>("a").has_note("lost"))->bytes() == -1);
}

TEST_CASE("an erasure that is not committed has not been") {
  ledger_silo silo;
  REQUIRE(silo.call(ref<Ledger>("a").add(7)));
  silo.rows().fail_commits({errc::out_of_space, "planned"});
  CHECK_FALSE(silo.call(ref<Ledger>("a").clear({}, 0, 0)));
  CHECK(silo.total("a") == 7);
}

}  // namespace
}  // namespace millrace::conformance
