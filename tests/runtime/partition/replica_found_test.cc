// SPDX-License-Identifier: MIT
// What the simulation and reviews found: a case for each.
#include "replica_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

TEST_CASE("a range is not given by a primary that has applied less than the snapshot began with") {
  learning both{3};
  auto& primary = both.primary;
  primary.replica.send_range({b, primary.replica.log().at(3), "k"}, "rows", "", 2, primary.effects);
  CHECK_FALSE(primary.sent<range_message>());
  primary.replica.send_range({b, primary.replica.log().at(3), "k"}, "rows", "", 3, primary.effects);
  CHECK(primary.sent<range_message>());
}

// Goal: nothing is committed before that copy has rows, so that waiting would never end.
TEST_CASE("below the minimum a snapshot that an earlier primary began is begun anew") {
  learning both{3};
  auto& primary = both.primary;
  primary.win(record_of(primary.replica.record().version, 1, a, {a}, 2));
  REQUIRE_FALSE(primary.replica.may_append());
  const auto base = primary.replica.log().at(3);
  primary.replica.send_range({b, base, "k"}, "rows", "", 2, primary.effects);
  const auto anew = primary.sent<snapshot_message>();
  REQUIRE(anew);
  CHECK(anew->tail == base);
}

TEST_CASE("a late message of what a member had long ago says nothing about it") {
  pair both;
  settle(both);
  both.commit("x");
  auto& primary = both.primary;
  primary.replica.checkpointed(primary.replica.log().tail());
  primary.replica.forget_through(2);
  behind_message old{b, 1, {1, 9, 77}, {{0, 0}, {1, 9}}};
  primary.receive(old, after(40));
  CHECK_FALSE(primary.sent<snapshot_message>());
  CHECK_FALSE(primary.tick(after(50)));
}

TEST_CASE("a copy that could not write, and was not in the set, may try again") {
  learning both;
  auto& primary = both.primary;
  both.exchange(50);
  primary.receive(refused_message{b, 1}, after(60));
  primary.tick(after(100));
  CHECK_FALSE(primary.effects.digest_at);
  primary.replica.send_beacons(after(120), primary.effects);
  both.exchange(120);
  primary.tick(after(150));
  CHECK(primary.effects.digest_at == 3);
}

TEST_CASE("a copy reads the record from time to time, whatever it is told") {
  pair both;
  settle(both);
  bool reads = false;
  for (auto at = 50; at <= 30000; at += 50) {
    CHECK_FALSE(reads);
    both.primary.receive(*both.backup.answer<grant_message>(both.primary, after(at)), after(at));
    both.primary.replica.tick(after(at), both.primary.effects);
    both.primary.effects.change.reset();
    reads = both.primary.effects.read_record;
  }
  CHECK(reads);
}

// Goal: what a copy had acknowledged counts no more once it tells that it has less.
// Method: it is asked into the set; before that has happened its disk is an older one.
TEST_CASE("a copy that was asked into the set and came back with less has to prove itself anew") {
  learning both;
  auto& [primary, learner, encoded, told] = both;
  both.compare(77);
  const auto asked = primary.tick(after(150));
  REQUIRE(asked);
  REQUIRE(asked->in_sync == set{a, b});
  SUBCASE("it tells so") {
    primary.receive(told, after(200));
  }
  SUBCASE("it was silent, and what it tells is lost but for a sign of life") {
    pass(primary, 200, 1400);
    primary.receive(prepared_message{b, 1, 0, {}}, after(1410));
  }
  const auto instead = pass(primary, 1450, 2000);
  REQUIRE(instead);
  CHECK(instead->in_sync == set{a});
  // As long as the first change may happen, commits wait for the copy.
  primary.append("must wait");
  primary.flush();
  CHECK(primary.replica.committed() == 3);
}

// Goal: a copy whose disk went back below what was committed sees that by the record that lists it,
// also if it was only being asked in: nothing that it is sent meanwhile takes it past the floor.
TEST_CASE("a copy that is being asked in and has lost what was committed is sent nothing") {
  learning both;
  auto& [primary, learner, encoded, told] = both;
  both.compare(77);
  const auto asked = primary.tick(after(150));
  REQUIRE(asked);
  REQUIRE(asked->in_sync == set{a, b});
  CHECK(asked->commit_floor == 3);
  primary.effects.clear();
  primary.receive(told, after(200));
  CHECK(primary.effects.shipments.empty());
  SUBCASE("it is let in after all, and sees it") {
    primary.win(*asked, after(300));
    primary.receive(told, after(350));
    CHECK(primary.effects.shipments.empty());
    copy forgetful{b};
    forgetful.know(primary.replica.record(), after(400));
    CHECK(forgetful.replica.set_aside() == damage::lost_committed);
  }
  SUBCASE("it is not let in, and learns everything anew") {
    const auto instead = pass(primary, 1450, 2000);
    REQUIRE(instead);
    REQUIRE(instead->in_sync == set{a});
    primary.receive(told, after(2010));
    CHECK(primary.effects.shipments.empty());  // the first change may happen still
    primary.win(*instead, after(2050));
    primary.receive(told, after(2100));
    REQUIRE(primary.effects.shipments.size() == 1);
    CHECK(primary.effects.shipments[0].first_seq == 1);
  }
}

// Goal: a copy that fetches rows was told so by a primary that knows a newer record than any that
// lists the copy; what it lacks by an older one is no sign of a damaged disk.
TEST_CASE("a copy that fetches rows is not taken for damaged when an older record comes late") {
  learning both{6};
  auto& [primary, learner, encoded, told] = both;
  auto listed = primary.replica.record();
  primary.replica.checkpointed(primary.replica.log().at(6));
  primary.replica.forget_through(6);
  both.begin_snapshot();
  REQUIRE(learner.sent<fetch_message>());
  ++listed.version;
  listed.in_sync = {a, b};
  listed.commit_floor = 4;
  SUBCASE("before the first range is there") {}
  SUBCASE("while its log is gone") {
    learner.receive(range_message{a, 0, 1, primary.replica.log().tail(), 6, "", "k", "rows"});
    learner.flush();
  }
  learner.know(listed);
  CHECK_FALSE(learner.effects.quarantined);
  CHECK_FALSE(learner.replica.stand(after(10000)));
  // With the record that the primary had known it goes on.
  listed.version += 1;
  listed.in_sync = {a};
  learner.know(listed);
  learner.effects.messages.clear();
  CHECK(learner.answer<fetch_message>(primary, after(10000)));
}

// Goal: an operator chooses what a copy has. When the store takes that late, and the copy has given
// its content away meanwhile, nobody goes on with nothing.
TEST_CASE("a copy that was chosen, and has less by then, does not lead") {
  learning both{6};
  auto& [primary, learner, encoded, told] = both;
  for (const auto& each : encoded) {
    learner.receive(prepare_of(a, 1, each, 6));
  }
  learner.flush();
  learner.replica.break_glass(after(5), learner.effects);
  const auto wanted = std::exchange(learner.effects.change, {});
  REQUIRE(wanted);
  CHECK(wanted->commit_floor == 6);
  SUBCASE("as long as it may still happen no rows are fetched") {
    learner.receive(snapshot_message{a, 1, learner.replica.log().tail()}, after(10));
    CHECK_FALSE(learner.sent<fetch_message>());
    learner.win(*wanted, after(20));
    CHECK(learner.replica.role() == replica_role::recovering);
  }
  SUBCASE("it has forgotten that, and fetches rows") {
    copy again{b, learner.replica.log()};
    again.know(primary.replica.record());
    again.answer<grant_message>(primary, after(10));
    again.receive(snapshot_message{a, 1, again.replica.log().tail()}, after(10));
    REQUIRE(again.sent<fetch_message>());
    again.receive(range_message{a, 0, 1, {1, 6, 1}, 6, "", "k", "rows"}, after(15));
    again.win(*wanted, after(20));
    CHECK(again.effects.set_aside == damage::lost_committed);
  }
  SUBCASE("it has died meanwhile, and its rows were gone") {
    copy again{b};
    again.win(*wanted, after(20));
    CHECK(again.effects.set_aside == damage::lost_committed);
  }
}

// Goal: a proof of death cuts no wait short but for the leases of whoever led.
// Method: b wins the store's change late, in a life that never leads; a, whose lease of c holds
// still, had one of b's new life, too.
TEST_CASE("the death of a process that never led its epoch proves nothing about leases") {
  copy third{c};
  auto record = record_of(1, 4, a, {a, b, c});
  third.know(record);
  third.flush();
  third.receive(beacon_message{a, 0, 4, 1, 0, {}, start}, start);
  third.flush();
  REQUIRE(third.sent<grant_message>());
  record = with_primary(record, b, 5);
  record.version = 2;
  third.know(record, after(10));
  third.replica.primary_died(b.id, 5, after(20), third.effects);
  CHECK_FALSE(third.effects.change);
  third.flush();
  SUBCASE("until it is over") {
    CHECK_FALSE(third.replica.stand(after(10) + times.guard - instant));
    CHECK(third.replica.stand(after(10) + times.guard));
  }
  SUBCASE("but the record says that it has led") {
    record.version = 3;
    record.state = partition_state::active;
    third.know(record, after(30));
    CHECK(third.replica.stand(after(30)));
  }
  SUBCASE("but it was heard to lead") {
    third.receive(beacon_message{b, 0, 5, 2, 0, {}, start}, after(30));
    CHECK(third.replica.stand(after(40)));
  }
  SUBCASE("but it says itself that it has stopped to") {
    third.receive(release_message{b, 5, {}}, after(30));
    CHECK(third.effects.change);
  }
}

// Goal: what was found about rows says nothing about those that took their place.
TEST_CASE("a copy whose rows are replaced is compared anew, and does not pin the journal") {
  learning both{6};
  auto& [primary, learner, encoded, told] = both;
  both.compare(77);
  primary.replica.checkpointed(primary.replica.log().at(6));
  SUBCASE("by a first range") {
    primary.replica.send_range({b, {}, ""}, "rows", "", 6, primary.effects);
    REQUIRE(primary.sent<range_message>());
  }
  SUBCASE("as it has to begin anew") {
    primary.replica.forget_through(6);
    primary.receive(behind_message{b, 1, {1, 9, 77}, {{0, 0}, {1, 9}}});
    REQUIRE(primary.sent<snapshot_message>());
  }
  CHECK_FALSE(primary.tick(after(150)));  // it is not asked into the set
  primary.receive(prepared_message{b, 1, 6, primary.replica.log().tail()}, after(1400));
  CHECK_FALSE(primary.tick(after(1450)));
  REQUIRE(primary.effects.digest_at == 6);
  primary.replica.digested(6, 78, primary.effects);
  primary.receive(compared_message{b, 1, 1, 78}, after(1460));  // of the rows before
  CHECK_FALSE(primary.tick(after(1470)));
  primary.receive(compared_message{b, 1, 2, 78}, after(1480));
  CHECK(primary.replica.forgettable() == 6);
  CHECK(primary.tick(after(1500)));
}

// Goal: a copy that never tells the digest of its rows keeps no other out of the set.
TEST_CASE("the next copy is compared when one has not answered for four seconds") {
  copy primary{a, partition_log{p0}, 3};
  primary.lead({a});
  primary.append("x");
  primary.flush();
  const auto tail = primary.replica.log().tail();
  const auto follow = [&](const placed_copy& learner, std::int64_t at) {
    primary.receive(behind_message{learner, 1, tail, {{0, 0}, {1, 1}}}, after(at));
    primary.receive(prepared_message{learner, 1, tail.seq, tail}, after(at));
  };
  std::vector<copy_id> asked;
  for (std::int64_t at = 0; at <= 9000; at += 100) {
    follow(b, at);
    follow(c, at);
    primary.flush();
    primary.tick(after(at));
    for (const auto& each : std::exchange(primary.effects.messages, {})) {
      if (std::holds_alternative<compare_message>(each.message) &&
          (asked.empty() || asked.back() != each.to.id)) {
        asked.push_back(each.to.id);
      }
    }
  }
  CHECK(asked == std::vector{b.id, c.id, b.id});
}

// Goal: a copy that left the set again and again is let in at once where nothing goes on without
// it.
TEST_CASE("a copy that flaps stays out, but not while there are too few") {
  learning both{3};
  auto& primary = both.primary;
  const auto in_and_out = [&](std::size_t minimum) {
    for (int times = 0; times < 4; ++times) {
      const auto version = primary.replica.record().version;
      primary.win(record_of(version, 1, a, {a, b}, minimum));
      primary.win(record_of(version + 1, 1, a, {a}, minimum));
    }
    both.compare(77);
    return primary.tick(after(150)).has_value();
  };
  SUBCASE("enough") {
    CHECK_FALSE(in_and_out(1));
  }
  SUBCASE("too few") {
    CHECK(in_and_out(2));
  }
}

// Goal: one that is not needed, as the set is whole, does not keep the journal for ever.
TEST_CASE("of a learner's snapshot no entries are kept that it has written") {
  learning both{6};
  auto& primary = both.primary;
  primary.replica.checkpointed(primary.replica.log().at(4));
  primary.replica.send_range({b, {}, ""}, "rows", "", 4, primary.effects);
  primary.replica.checkpointed(primary.replica.log().at(6));
  CHECK(primary.replica.forgettable() == 4);
  primary.receive(prepared_message{b, 1, 5, primary.replica.log().at(5)});
  CHECK(primary.replica.forgettable() == 5);
}

TEST_CASE("a member needs no entries that the checkpoint has, whatever it fetched before") {
  learning both{6};
  auto& [primary, learner, encoded, told] = both;
  primary.replica.checkpointed(primary.replica.log().at(4));
  primary.replica.send_range({b, {}, ""}, "rows", "k", 4, primary.effects);
  primary.replica.checkpointed(primary.replica.log().at(6));
  REQUIRE(primary.replica.forgettable() == 4);
  auto record = primary.replica.record();
  record.in_sync = {a, b};  // another change of this primary's, that came late
  primary.win(record);
  REQUIRE(primary.replica.role() == replica_role::primary);
  CHECK(primary.replica.forgettable() == 6);
}

// Goal: with its promise only in memory it could forget that it led, and follow an older primary.
TEST_CASE("a winner that finds itself alone answers only when its promise and barrier are there") {
  copy one{a, partition_log{p0}, 2};
  one.lead({a});
  CHECK(one.effects.persist);
  CHECK_FALSE(one.replica.may_answer(start, start));
  one.flush();
  CHECK_FALSE(one.replica.may_answer(start, start));
  REQUIRE(std::exchange(one.effects.wants_barrier, false));
  one.append({});
  CHECK_FALSE(one.replica.may_answer(start, start));
  one.flush();
  CHECK(one.replica.may_answer(start, start));
  CHECK(one.replica.may_append());
}

TEST_CASE("after a pause nobody counts as heard of in the future") {
  pair both;
  auto& [primary, backup] = both;
  settle(both);
  primary.tick(after(50));
  primary.receive(*backup.answer<grant_message>(primary, after(9000)), after(9000));
  CHECK_FALSE(primary.tick(after(9000)));
  CHECK_FALSE(pass(primary, 9050, 10150));
  CHECK(pass(primary, 10200, 10200));  // as after any other silence
}

TEST_CASE("whoever takes over alone keeps the number of its last loss") {
  copy_state state{a.id, 3, 7, {}};
  auto settings = settings_of(a, 1);
  replica one{state, partition_log{p0}, settings, start};
  take_over_alone(one, start);
  CHECK(one.role() == replica_role::primary);
  CHECK(one.state().data_loss_no == 3);
  CHECK(one.record().data_loss_no == 3);
  CHECK(one.record().epoch == 8);
}

TEST_CASE("whoever is passed over lets the new primary be for a while") {
  copy backup{b};
  backup.know(record_of(1, 1, a, {a, b, c}, 2));
  REQUIRE(backup.tick(after(2100)));  // nobody was heard: it stands
  backup.know(record_of(2, 2, c, {c}, 2), after(2200));
  auto eligible = record_of(3, 2, c, {c}, 2);
  eligible.eligible = {a, b};
  backup.know(eligible, after(2300));
  CHECK_FALSE(backup.tick(after(4100)));
  const auto wanted = backup.tick(after(4300));
  REQUIRE(wanted);
  CHECK(wanted->primary == b.id);
}

}  // namespace
}  // namespace millrace::runtime
