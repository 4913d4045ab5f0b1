// SPDX-License-Identifier: MIT
// What becomes of actors when silos end, and of what was asked of them.
#include "conformance/cluster.h"

namespace millrace::conformance {
namespace {

// The durable send that is delivered late and the call that comes fresh find one activation.
TEST_CASE("a late delivery and a fresh call share the one activation that replaces a lost one") {
  probe_cluster cluster;
  const auto target = ref<Ledger>("target");
  REQUIRE(cluster.call(target.add(1)));
  const auto before = cluster.leader_of(target);
  const auto stays = cluster.other_than({before});
  const auto payer = cluster.key_on(stays);
  cluster.network().cut(stays, before);
  REQUIRE(cluster.call(ref<Ledger>(payer).pay("target", 5), stays));  // on its way
  auto fresh = cluster.begin(target.add(10).keyed("fresh"), stays);
  cluster.kill(before);
  cluster.network().heal();
  REQUIRE(cluster.until([&] { return fresh.answered(); }));
  CHECK(fresh.answer());
  CHECK(cluster.until([&] { return cluster.total("target") == 16; }));
  std::size_t activations = 0;
  for (const std::string name : {"a", "b", "c"}) {
    if (cluster.is_up(name)) {
      const auto listed = cluster.at(name).activations("ledger", {});
      REQUIRE(listed);
      for (const auto& each : listed->items) {
        activations += each.key == "target" ? 1 : 0;
      }
    }
  }
  CHECK(activations == 1);
}

// Goal: a durable send takes effect once, also when the sender's old silo is slow.
// Method: a delivery of the old silo is on its way for so long that the sender has been taken over,
// has delivered the same again and has told the receiver so.
TEST_CASE("a delivery of a sender's earlier silo that comes very late has no second effect") {
  probe_cluster cluster;
  const std::string old = "a";
  const auto payer = cluster.key_on(old);
  const auto payee = cluster.key_on("b");
  REQUIRE(cluster.call(ref<Ledger>(payer).add(100)));
  REQUIRE(cluster.call(ref<Ledger>(payee).add(0)));
  cluster.network().delay(old, "b", 8s, traffic::calls);
  REQUIRE(cluster.call(ref<Ledger>(payer).pay(payee, 30), old));
  REQUIRE(cluster.total(payee, "b") == 0);  // it is on its way
  cluster.network().cut(old, test_network::store);
  cluster.network().cut(old, "c");
  cluster.network().cut_one_way("b", old);
  REQUIRE(cluster.until([&] { return cluster.total(payee, "b") == 30; }, 5s));
  CHECK(cluster.leader_of(ref<Ledger>(payer)) != old);
  REQUIRE(cluster.call(ref<Ledger>(payer).pay(payee, 5), "b"));
  CHECK(cluster.total(payee, "b") == 35);
  cluster.network().heal();
  cluster.advance(20s);
  CHECK(cluster.total(payee, "b") == 35);
  CHECK(cluster.total(payer, "b") == 65);
}

TEST_CASE("an actor moves when its silo shuts down, through its hooks and with its state") {
  probe_cluster cluster;
  const auto moved = ref<Probe>("hooked");
  REQUIRE(cluster.call(moved.set(7)));
  const auto before = cluster.leader_of(moved);
  const auto asks = cluster.other_than({before});
  CHECK(cluster.events.count("activates") == 1);
  cluster.stop(before);
  CHECK(cluster.call(moved.get(), asks)->value() == 7);
  CHECK(cluster.events.count("activates") == 2);
  CHECK(cluster.leader_of(moved) != before);
}

TEST_CASE("a silo that ran timers is killed, and its actors answer elsewhere") {
  probe_cluster cluster;
  std::vector<std::string> keys;
  for (int number = 0; number < 8; ++number) {
    keys.push_back("ticking-" + std::to_string(number));
    REQUIRE(cluster.call(ref<Probe>(keys.back()).set(number)));
    REQUIRE(cluster.call(ref<Probe>(keys.back()).every_ms("tick", 100, 100)));
  }
  cluster.advance(1s);
  CHECK(cluster.timer_count >= 8 * 10);
  const auto before = cluster.leader_of(ref<Probe>(keys.front()));
  cluster.kill(before);
  for (int number = 0; number < 8; ++number) {
    CHECK(cluster.call(ref<Probe>(keys[static_cast<std::size_t>(number)]).get())->value() ==
          number);
  }
}

// Goal: nobody waits for an answer that cannot come any more.
TEST_CASE("calls that a killed silo was serving break promptly") {
  probe_cluster cluster;
  const auto busy = ref<Probe>("busy");
  const auto before = cluster.leader_of(busy);
  const auto asks = cluster.other_than({before});
  auto writes = cluster.begin(busy.hold("writer", 3'000'000), asks);
  auto reads = cluster.begin(ref<Probe>("busy").hold_reading("reader", 3'000'000), asks);
  CHECK(cluster.events.count("writer begins") == 1);
  CHECK_FALSE(writes.answered());
  const auto began = cluster.clock().steady();
  cluster.kill(before);
  REQUIRE(cluster.until([&] { return writes.answered(); }));
  CHECK(cluster.clock().steady() - began < 1s);
  CHECK(writes.answer().error().code() == errc::outcome_unknown);
  // What only reads begins again where the actor lives now.
  REQUIRE(cluster.until([&] { return cluster.events.count("reader begins") == 1; }, 3s));
  REQUIRE(cluster.call(busy.raise(), asks));
  CHECK(reads.answer());
}

TEST_CASE("the reminders of a killed silo go on elsewhere") {
  probe_cluster cluster;
  const auto ticking = ref<Probe>("ticking");
  REQUIRE(cluster.call(ticking.remind("tick", 1'000, 1'000, "", "", "once")));
  cluster.advance(3500ms);
  CHECK(cluster.reminder_count == 3);
  cluster.kill(cluster.leader_of(ticking));
  cluster.advance(4s);
  CHECK(cluster.reminder_count >= 6);
  CHECK(cluster.reminder_count <= 8);
  const auto listed = cluster.call(ticking.list_reminders());
  REQUIRE(listed);
  CHECK(listed->read().getNames().size() == 1);
}

TEST_CASE("two of five silos are killed at once, and nothing that was acknowledged is lost") {
  probe_cluster cluster{{.silos = {"a", "b", "c", "d", "e"}}};
  cluster.make_twenty("k", "a");
  cluster.kill("b");
  cluster.kill("d", ending::silent);
  CHECK(cluster.has_twenty("k", "c"));
  CHECK(cluster.until_whole());
  for (int number = 0; number < 20; ++number) {
    CHECK(cluster.call(ref<Ledger>("k" + std::to_string(number)).add(0), "e"));
  }
}

TEST_CASE("a silo is killed while another joins, and both are seen to") {
  probe_cluster cluster;
  cluster.make_twenty("k", "a");
  cluster.kill("b", ending::silent);
  cluster.start("d");
  CHECK(cluster.has_twenty("k", "d"));
  REQUIRE(cluster.until_whole());
  cluster.kill("d");  // it has copies that count by now
  cluster.start("b");
  CHECK(cluster.has_twenty("k", "b"));
  CHECK(cluster.until_whole());
}

TEST_CASE("a gateway starts anew, and twenty actors of before answer, and twenty new ones") {
  probe_cluster cluster{{.silos = {"a", "b", "c", "g"}, .adjust = [](silo_options& options) {
                           if (options.name == "g") {
                             options.cluster->roles = {.gateway = true};
                           }
                         }}};
  cluster.make_twenty("old-", "g");
  cluster.restart("g");
  CHECK(cluster.has_twenty("old-", "g"));
  cluster.make_twenty("new-", "g");
  CHECK(cluster.has_twenty("new-", "g"));
}

TEST_CASE("a silo starts anew, and twenty actors of before answer, and twenty new ones") {
  probe_cluster cluster;
  cluster.make_twenty("old-", "a");
  cluster.restart("b");
  CHECK(cluster.has_twenty("old-", "b"));
  cluster.make_twenty("new-", "b");
  CHECK(cluster.has_twenty("new-", "a"));
}

// A move waits for no turn: what has not left its silo never does.
TEST_CASE("an actor whose turn never ends does not hold up its silo's leaving") {
  probe_cluster cluster;
  const auto stuck = ref<Probe>("stuck");
  REQUIRE(cluster.call(stuck.set(3)));
  const auto before = cluster.leader_of(stuck);
  const auto asks = cluster.other_than({before});
  auto held = cluster.begin(stuck.hold("holder", 3'000'000), asks);
  CHECK(cluster.events.count("holder begins") == 1);
  const auto began = cluster.clock().steady();
  cluster.stop(before);
  CHECK(cluster.clock().steady() - began < 30s);
  CHECK(cluster.leader_of(stuck) != before);
  auto after = cluster.begin(ref<Probe>("stuck").hold_beside("next", 3'000'000), asks);
  static_cast<void>(after);
  REQUIRE(
      cluster.until([&] { return held.answered() || cluster.events.count("holder begins") == 2; }));
}

TEST_CASE("a hook that fails where an actor moves to is told to its caller, and harms nothing") {
  probe_cluster cluster;
  const auto moves = ref<Probe>("never starts");
  REQUIRE(cluster.call(moves.set(3)));
  const auto before = cluster.leader_of(moves);
  const auto asks = cluster.other_than({before});
  cluster.unwilling = true;
  cluster.stop(before);
  const auto refused = cluster.call(moves.get(), asks);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::failed_precondition);
  cluster.unwilling = false;
  CHECK(cluster.call(moves.get(), asks)->value() == 3);
}

}  // namespace
}  // namespace millrace::conformance
