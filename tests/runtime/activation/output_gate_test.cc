// SPDX-License-Identifier: MIT
#include "activation/output_gate.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>

namespace millrace::runtime::detail {
namespace {

envelope* named(std::string text) {
  auto* one = new envelope{envelope_kind::one_way};
  one->set_text(std::move(text));
  return one;
}

struct dropper {
  void operator()(envelope* one) const noexcept { drop(one); }
};
using owned = std::unique_ptr<envelope, dropper>;

// The texts of what leaves now, in order.
std::string leaving(output_gate& gate) {
  std::string all;
  while (const owned one{gate.next_to_leave()}) {
    all += one->text();
  }
  return all;
}

std::string texts(envelope_list list) {
  std::string all;
  while (const owned one{list.pop()}) {
    all += one->text();
  }
  return all;
}

// Closes a commit and says whether it goes to storage.
bool close(output_gate& gate) {
  const owned goes{gate.close(new envelope{envelope_kind::committed})};
  return goes != nullptr;
}

bool next_goes(output_gate& gate) {
  const owned next{gate.next_commit_to_go()};
  return next != nullptr;
}

TEST_CASE("the gate stands open while nothing is unsaved and nothing waits") {
  output_gate gate;
  CHECK(gate.stands_open(false));
  CHECK_FALSE(gate.stands_open(true));
  gate.hold(named("a"));
  CHECK_FALSE(gate.stands_open(false));  // it would overtake
  gate.end_batch();
  CHECK(leaving(gate) == "a");
  CHECK(gate.stands_open(false));
}

TEST_CASE("what a batch lets out leaves when the commit that it closed is durable, in order") {
  output_gate gate;
  gate.hold(named("a"));
  gate.hold(named("b"));
  REQUIRE(close(gate));
  CHECK(gate.in_flight());
  gate.end_batch();
  CHECK(leaving(gate).empty());
  CHECK(gate.holds());
  CHECK_FALSE(gate.stands_open(false));
  gate.ended_well(1);
  CHECK(leaving(gate) == "ab");
  CHECK_FALSE(gate.in_flight());
  CHECK(gate.stands_open(false));
}

TEST_CASE("a batch that has not ended does not leave with an earlier commit") {
  output_gate gate;
  REQUIRE(close(gate));
  gate.hold(named("later"));
  gate.ended_well(1);
  CHECK(leaving(gate).empty());
  gate.end_batch();
  CHECK(leaving(gate) == "later");
}

TEST_CASE("storage has one commit at a time; the others go one after the other") {
  output_gate gate;
  gate.hold(named("1"));
  REQUIRE(close(gate));
  gate.end_batch();
  gate.hold(named("2"));
  REQUIRE_FALSE(close(gate));
  gate.end_batch();
  gate.hold(named("3"));
  REQUIRE_FALSE(close(gate));
  gate.end_batch();
  CHECK(gate.closed() == 3);
  CHECK(gate.next_commit() == 4);

  gate.ended_well(1);
  CHECK(leaving(gate) == "1");
  CHECK(next_goes(gate));
  gate.ended_well(2);
  CHECK(leaving(gate) == "2");
  CHECK(next_goes(gate));
  gate.ended_well(3);
  CHECK(leaving(gate) == "3");
  CHECK_FALSE(next_goes(gate));
}

TEST_CASE("what is for the next commit waits until one is closed, and for its end") {
  output_gate gate;
  gate.hold_for_next_commit(named("forget"));
  gate.end_batch();
  CHECK(leaving(gate).empty());
  CHECK(gate.stands_open(false));  // nothing waits for it
  REQUIRE(close(gate));
  CHECK(leaving(gate).empty());
  gate.ended_well(1);
  CHECK(leaving(gate) == "forget");
}

TEST_CASE("a commit that fails takes those behind it along, and leaves what waited to be told") {
  output_gate gate;
  REQUIRE(close(gate));
  gate.ended_well(1);
  gate.hold(named("a"));
  REQUIRE(close(gate));
  gate.end_batch();
  gate.hold(named("b"));
  REQUIRE_FALSE(close(gate));
  gate.end_batch();
  gate.hold(named("c"));

  gate.failed();
  CHECK_FALSE(gate.in_flight());
  CHECK(gate.durable() == 1);
  CHECK_FALSE(next_goes(gate));
  CHECK(texts(gate.take_batch()) == "c");
  auto held = gate.take_held();
  REQUIRE_FALSE(held.empty());
  CHECK(held.front()->after_commit == 2);  // tells who waited for the one that failed
  CHECK(texts(std::move(held)) == "ab");
  CHECK_FALSE(gate.holds());
}

TEST_CASE("whatever it still holds goes with it") {
  auto* one = named("a");
  keep(*one);
  {
    output_gate gate;
    gate.hold(one);
    CHECK(one->references == 2);
  }
  CHECK(one->references == 1);
  drop(one);
}

}  // namespace
}  // namespace millrace::runtime::detail
