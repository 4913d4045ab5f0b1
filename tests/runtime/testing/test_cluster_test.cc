// SPDX-License-Identifier: MIT
// The test cluster itself: what silos that die and networks that break do to actors.
#include "millrace/testing/test_cluster.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/silo/counter.h"

namespace millrace::testing {
namespace {

using namespace std::chrono_literals;

void add_counter(silo& here) {
  here.add<counter>();
}

std::int64_t total(test_cluster& cluster, const std::string& key, std::string_view from = {}) {
  const auto found = cluster.call(ref<Counter>(key).get(), from);
  if (!found) {
    FAIL("get of " << key << ": " << found.error().to_string());
  }
  return found->total();
}

// A silo that is up and is not that one.
std::string another(test_cluster& cluster, const std::vector<std::string>& but) {
  for (const std::string name : {"a", "b", "c"}) {
    if (cluster.is_up(name) && std::find(but.begin(), but.end(), name) == but.end()) {
      return name;
    }
  }
  FAIL("there is no other silo");
  return {};
}

// Goal: what a test of a failover costs is a few milliseconds.
// Method: the bound is for machines that do much else.
TEST_CASE("an actor answers from another silo when its own is killed, and has what it had") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  REQUIRE(cluster.call(one.add(5)));
  const auto before = cluster.leader_of(one);
  REQUIRE_FALSE(before.empty());
  CHECK(cluster.copies_of(one).size() == 3);
  const system_clock real;
  const auto real_began = real.steady();
  const auto began = cluster.clock().steady();
  cluster.kill(before);
  CHECK(total(cluster, "one") == 5);
  CHECK(cluster.clock().steady() - began < 1s);
  CHECK(real.steady() - real_began < 5s);
  CHECK(cluster.leader_of(one) != before);
  CHECK_FALSE(cluster.is_up(before));
  CHECK(cluster.until([&] { return cluster.copies_of(one).size() == 2; }));
}

TEST_CASE("nobody takes over from a silo that is silent before its leases are over") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  REQUIRE(cluster.call(one.add(5)));
  const auto before = cluster.leader_of(one);
  cluster.kill(before, ending::silent);
  const auto began = cluster.clock().steady();
  CHECK(total(cluster, "one") == 5);
  const auto took = cluster.clock().steady() - began;
  CHECK(took > 1500ms);
  CHECK(took < 4s);
}

// Goal: however often silos are killed, whatever was acknowledged is there, and no more than was
// asked for.
TEST_CASE("nothing that was acknowledged is lost when silos are killed and started by turns") {
  test_cluster cluster{add_counter};
  std::map<std::string, std::int64_t> acknowledged;
  std::map<std::string, std::int64_t> unknown;
  const auto add = [&](std::string_view from) {
    for (int number = 0; number < 8; ++number) {
      const auto key = "k" + std::to_string(number);
      const auto answer = cluster.call(ref<Counter>(key).add(1), from);
      if (answer) {
        ++acknowledged[key];
      } else {
        CHECK(answer.error().code() == errc::outcome_unknown);
        ++unknown[key];
      }
    }
  };
  for (int round = 0; round < 6; ++round) {
    const std::string victim{"abc"[round % 3]};
    const auto asks = another(cluster, {victim});
    std::vector<open_call<counter_interface::add_results>> open;
    for (int number = 0; number < 8; ++number) {
      open.push_back(cluster.begin(ref<Counter>("k" + std::to_string(number)).add(0), asks));
    }
    add(asks);
    cluster.kill(victim, round % 2 == 0 ? ending::proven : ending::silent);
    add(asks);
    cluster.start(victim);
    REQUIRE(cluster.until_whole());
    add(victim);
  }
  for (const auto& [key, sum] : acknowledged) {
    const auto found = total(cluster, key);
    CHECK(found >= sum);
    CHECK(found <= sum + unknown[key]);
  }
}

TEST_CASE("all silos are killed at once, and what was acknowledged is there when they are back") {
  test_cluster cluster{add_counter};
  for (int number = 0; number < 20; ++number) {
    REQUIRE(cluster.call(ref<Counter>("k" + std::to_string(number)).add(number)));
  }
  for (const auto* each : {"a", "b", "c"}) {
    cluster.kill(each, ending::silent);
  }
  for (const auto* each : {"c", "a", "b"}) {
    cluster.start(each);
  }
  for (int number = 0; number < 20; ++number) {
    CHECK(total(cluster, "k" + std::to_string(number)) == number);
  }
  CHECK(cluster.until_whole());
}

// Goal: who is cut off acknowledges nothing, and says no more than he knows.
TEST_CASE("a write on a silo that is cut off is answered outcome_unknown, and others go on") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  REQUIRE(cluster.call(one.add(5)));
  const auto old = cluster.leader_of(one);
  const auto other = another(cluster, {old});
  cluster.network().isolate(old);
  auto lost = cluster.begin(one.add(100), old);
  CHECK_FALSE(lost.answered());
  CHECK(cluster.call(one.add(1).keyed("once"), other));  // the first try is lost
  CHECK(cluster.leader_of(one) != old);
  CHECK(total(cluster, "one", other) == 6);
  cluster.network().heal();
  REQUIRE(cluster.until([&] { return lost.answered(); }));
  const auto answer = lost.answer();
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == errc::outcome_unknown);
  CHECK(total(cluster, "one", other) == 6);
}

// Goal: no read is older than a write that was acknowledged before it began.
// Method: what the old primary hears is cut, what it says is not; reads are asked of it, writes of
// another silo, by turns, until long after the takeover.
TEST_CASE("a silo that is cut off on one side answers no stale read") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  REQUIRE(cluster.until_whole());
  REQUIRE(cluster.call(one.add(1)));  // now that nothing moves any more
  const auto old = cluster.leader_of(one);
  const auto writer = another(cluster, {old});
  const auto third = another(cluster, {old, writer});
  cluster.advance(1s);
  REQUIRE(cluster.call(one.get(), old));  // it has a lease
  cluster.network().cut_one_way(writer, old);
  cluster.network().cut_one_way(third, old);
  struct read {
    std::int64_t at_least;
    open_call<counter_interface::get_results> answer;
  };
  std::vector<read> reads;
  std::int64_t written = 1;
  auto write = cluster.begin(one.add(1), writer);
  int answered_by_then = 0;
  for (int step = 0; step < 80; ++step) {
    reads.push_back({written, cluster.begin(one.get(), old)});
    cluster.advance(100ms);
    if (write.answered()) {
      if (write.answer()) {
        ++written;
      }
      write = cluster.begin(one.add(1), writer);
    }
    if (auto& last = reads.back(); last.answer.answered()) {
      const auto found = last.answer.answer();
      if (found) {
        CHECK(found->total() >= last.at_least);
        ++answered_by_then;
      }
      reads.pop_back();
    }
  }
  CHECK(cluster.leader_of(one) != old);
  CHECK(written > 10);
  CHECK(answered_by_then > 5);
  cluster.network().heal();
  for (auto& each : reads) {
    REQUIRE(cluster.until([&] { return each.answer.answered(); }));
    if (const auto found = each.answer.answer()) {
      CHECK(found->total() >= each.at_least);
    }
  }
  CHECK(cluster.until_whole());
}

TEST_CASE("a cut between two silos heals, and nothing was lost") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  const auto leader = cluster.leader_of(one);
  const auto other = another(cluster, {leader});
  cluster.network().cut(leader, other);
  auto waits = cluster.begin(one.add(1), other);
  CHECK_FALSE(waits.answered());
  cluster.advance(1s);
  CHECK_FALSE(waits.answered());
  cluster.network().heal();
  REQUIRE(cluster.until([&] { return waits.answered(); }));
  CHECK(waits.answer()->total() == 1);
  CHECK(cluster.until_whole());
}

TEST_CASE("a message takes as long as the network is slow, and no longer") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  const auto leader = cluster.leader_of(one);
  const auto other = another(cluster, {leader});
  cluster.network().delay(other, leader, 70ms);
  auto slow = cluster.begin(one.add(1), other);
  cluster.advance(69ms);
  CHECK(total(cluster, "one", leader) == 0);
  cluster.advance(2ms);  // the read has asked for some of them
  REQUIRE(cluster.until([&] { return slow.answered(); }, 200ms));
  CHECK(slow.answer()->total() == 1);
}

// Goal: the two outcomes of an answer that is lost.
TEST_CASE(
    "an answer that is lost leaves the outcome unknown, or the call is sent again by its key") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  const auto leader = cluster.leader_of(one);
  const auto other = another(cluster, {leader});
  cluster.network().lose(leader, other, traffic::answers);
  const auto lost = cluster.call(one.add(1), other);
  REQUIRE_FALSE(lost);
  CHECK(lost.error().code() == errc::outcome_unknown);
  CHECK(total(cluster, "one") == 1);
  cluster.network().lose(leader, other, traffic::answers);
  const auto again = cluster.call(one.add(1).keyed("once"), other);
  REQUIRE(again);
  CHECK(again->total() == 2);
  CHECK(total(cluster, "one") == 2);
}

TEST_CASE("a silo that is stopped hands over; one whose disk was replaced gets its copies again") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  REQUIRE(cluster.call(one.add(7)));
  const auto before = cluster.leader_of(one);
  const auto asks = another(cluster, {before});
  cluster.stop(before);
  CHECK_FALSE(cluster.is_up(before));
  CHECK(total(cluster, "one", asks) == 7);
  cluster.wipe(before);
  cluster.start(before);
  REQUIRE(cluster.until_whole());
  CHECK(cluster.leader_of(one) == before);
  CHECK(total(cluster, "one", before) == 7);
}

TEST_CASE("with one copy of three left writes are refused until another is back") {
  test_cluster cluster{add_counter};
  const auto one = ref<Counter>("one");
  REQUIRE(cluster.call(one.add(1)));
  const auto stays = cluster.leader_of(one);
  const auto first = another(cluster, {stays});
  const auto second = another(cluster, {stays, first});
  cluster.kill(first);
  cluster.kill(second);
  auto waits = cluster.begin(one.add(1), stays);
  REQUIRE(cluster.until([&] { return waits.answered(); }));
  CHECK_FALSE(waits.answer());
  cluster.start(first);
  REQUIRE(cluster.until([&] {
    auto tried = cluster.begin(one.add(0), stays);
    return cluster.until([&] { return tried.answered(); }) && tried.answer();
  }));
  CHECK(total(cluster, "one") >= 1);
}

TEST_CASE("a mistake of the test is said") {
  test_cluster cluster{add_counter, {.silos = {"a"}}};
  CHECK_THROWS_WITH(cluster.kill("z"), "silo z is not up");
  CHECK_THROWS_WITH(cluster.start("a"), "silo a is up already");
  CHECK_THROWS_WITH(cluster.wipe("a"), "silo a is up; its disk is in use");
}

}  // namespace
}  // namespace millrace::testing
