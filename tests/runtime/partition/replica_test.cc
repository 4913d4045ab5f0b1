// SPDX-License-Identifier: MIT
// Entries, epochs, leases and takeovers. The in-sync set: replica_set_test.cc.
#include "partition/replica.h"

#include "partition/planted_bug.h"
#include "replica_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

// Outside the simulator there are no planted bugs, and no way to plant one.
static_assert(!planted(bug::w4_ignores_minimum));

TEST_CASE("a copy that is alone commits what its own disk has, and not before") {
  copy one{a, partition_log{p0}, 1};
  one.lead({a});
  CHECK(one.replica.role() == replica_role::primary);
  CHECK(one.replica.may_answer(start, start));
  CHECK_FALSE(one.effects.persist);  // its first entry says as much
  one.append("x");
  one.append("y");
  CHECK(one.replica.committed() == 0);
  one.flush();
  CHECK(one.replica.committed() == 2);
  CHECK(one.effects.shipments.empty());
  CHECK(one.effects.messages.empty());
  one.append("cannot be written");
  one.replica.withdraw_above(2);
  one.flush();
  CHECK(one.replica.log().tail().seq == 2);
  CHECK(one.replica.committed() == 2);
}

TEST_CASE("an entry is committed once every copy of the set has it on its disk") {
  copy primary{a};
  copy backup{b};
  primary.lead({a, b});
  backup.know(primary.replica.record());
  backup.effects.clear();
  CHECK(primary.replica.role() == replica_role::recovering);
  CHECK_FALSE(primary.effects.wants_barrier);  // the promise first
  CHECK(primary.effects.persist);
  primary.flush();
  REQUIRE(primary.effects.wants_barrier);
  const auto barrier = primary.append({});
  REQUIRE(primary.effects.shipments.size() == 1);
  primary.flush();
  CHECK(primary.replica.committed() == 0);

  backup.receive(prepare_of(a, 1, barrier));
  CHECK(backup.effects.persist);
  CHECK_FALSE(backup.sent<prepared_message>());  // not on its disk yet
  backup.flush();
  const auto prepared = backup.sent<prepared_message>();
  REQUIRE(prepared);
  auto foreign = *prepared;
  foreign.from = c;
  primary.receive(foreign);
  auto wiped = *prepared;
  wiped.from.id = {9, 9};  // another copy on the same silo
  primary.receive(wiped);
  auto earlier = *prepared;
  earlier.epoch = 0;
  primary.receive(earlier);
  CHECK(primary.replica.committed() == 0);
  primary.receive(*prepared);
  CHECK(primary.replica.committed() == 1);
  CHECK(primary.replica.role() == replica_role::primary);
  CHECK(backup.replica.committed() == 0);
}

TEST_CASE("a lower epoch is fenced off, and whoever hears of a higher one steps down") {
  copy old{a};
  old.lead({a, b, c});
  copy other{b};
  other.know(record_of(1, 1, a, {a, b, c}));
  std::string entry;
  partition_log log{p0};
  log.append(2, 1, "x", entry);
  other.receive(prepare_of(c, 2, entry));
  other.flush();
  other.effects.clear();
  other.receive(prepare_of(a, 1, entry));
  const auto fenced = other.sent<fenced_message>();
  REQUIRE(fenced);
  CHECK(fenced->promised_epoch == 2);
  old.receive(*fenced);
  CHECK(old.replica.role() == replica_role::backup);
  CHECK(old.effects.lost_primacy);
  CHECK(old.effects.read_record);
}

TEST_CASE("nothing is answered before the record has been read, and its epoch is a promise") {
  copy one{b};
  std::string entry;
  partition_log log{p0};
  log.append(1, 1, "x", entry);
  one.receive(prepare_of(a, 1, entry));
  one.flush();
  CHECK(one.effects.messages.empty());
  CHECK(one.replica.log().empty());
  one.replica.tick(start, one.effects);
  CHECK(one.effects.read_record);
  one.know(record_of(5, 3, c, {b, c}));
  CHECK(one.effects.persist);
  one.receive(prepare_of(a, 1, entry));
  CHECK(one.sent<fenced_message>());
}

TEST_CASE("a backup drops what another primary did not commit, and never what was committed") {
  copy backup{b};
  backup.know(record_of(1, 1, a, {a, b, c}));
  partition_log of_a{p0};
  std::string first;
  std::string second;
  of_a.append(1, 1, "1", first);
  auto of_c = of_a;
  of_a.append(1, 2, "2 of a", second);
  backup.receive(prepare_of(a, 1, first));
  backup.receive(prepare_of(a, 1, second, 1));
  backup.flush();
  CHECK(backup.replica.committed() == 1);
  std::string other;
  of_c.append(2, 2, "2 of c", other);
  backup.receive(prepare_of(c, 2, other));
  CHECK(backup.effects.erased == std::vector<std::uint64_t>{2});
  CHECK(backup.replica.log().tail() == of_c.tail());
  CHECK_FALSE(backup.effects.quarantined);
  partition_log foreign{p0};
  std::string instead;
  foreign.append(3, 1, "1 of nobody", instead);
  backup.receive(prepare_of(a, 3, instead));
  CHECK(backup.effects.quarantined == damage::differs);
  CHECK(backup.replica.log().tail() == of_c.tail());
  backup.effects.clear();
  backup.receive(prepare_of(a, 3, instead));
  backup.tick(start + std::chrono::hours{1});
  CHECK(backup.effects.messages.empty());  // to the end
}

TEST_CASE("a backup that follows a new primary keeps what it cannot prove to be committed") {
  copy backup{b};
  backup.know(record_of(1, 1, a, {a, b, c}));
  partition_log log{p0};
  std::string first;
  log.append(1, 1, "1", first);
  backup.receive(prepare_of(a, 1, first));
  backup.flush();
  copy next{c, log};
  next.know(record_of(2, 1, a, {a, b, c}));
  next.win(*next.replica.stand(after(2000)));
  next.flush();
  backup.answer<grant_message>(next, after(2000));
  CHECK(backup.replica.log().tail() == log.tail());
}

TEST_CASE("a primary that comes back does not go on in its old epoch, even alone") {
  copy one{a};
  one.lead({a});
  one.append("x");
  one.flush();
  copy again{a, one.replica.log()};
  again.know(record_of(1, 1, a, {a}));
  CHECK(again.replica.role() == replica_role::backup);
  CHECK(again.replica.committed() == 0);  // what was not told committed is not taken for it
  again.lead({a});
  CHECK(again.replica.record().epoch == 2);
  again.flush();
  CHECK(again.replica.committed() == 1);
  again.append({});
  again.flush();
  CHECK(again.replica.role() == replica_role::primary);
}

TEST_CASE("a leave to read counts from when it was asked for, and who gave it waits for its end") {
  pair both;
  auto& [primary, backup] = both;
  CHECK_FALSE(primary.replica.may_answer(start, start));
  const auto asked = after(10);
  const auto arrived = after(300);
  primary.replica.send_beacons(asked, primary.effects);
  backup.receive(*primary.sent<beacon_message>(), arrived);
  primary.receive(*backup.sent<grant_message>(), arrived);
  const auto end = asked + times.lease;
  CHECK(primary.replica.may_answer(end - instant, end - instant));
  CHECK_FALSE(primary.replica.may_answer(end, end));

  CHECK_FALSE(backup.replica.stand(arrived + times.guard - instant));
  const auto wanted = backup.replica.stand(arrived + times.guard);
  REQUIRE(wanted);
  CHECK(wanted->epoch == 2);
  CHECK(wanted->primary == b.id);
  CHECK(wanted->state == partition_state::recovering);
  CHECK(wanted->in_sync == std::vector<placed_copy>{b});
  // Whoever stands for primary must not grant what it would have to wait for again.
  const auto answer = backup.answer<grant_message>(primary, arrived + times.guard);
  REQUIRE(answer);
  CHECK_FALSE(answer->lease);
}

TEST_CASE("without a lease a read is answered once everybody was asked after it came") {
  pair both;
  auto& [primary, backup] = both;
  REQUIRE(backup.replica.stand(after(3000)));  // it grants no leases
  primary.receive(*backup.answer<grant_message>(primary, after(3000)), after(3000));
  CHECK(primary.replica.may_answer(after(3000), after(3001)));
  CHECK_FALSE(primary.replica.may_answer(after(3001), after(3001)));
}

TEST_CASE("all of the others have to consent to a read") {
  copy primary{a};
  copy one{b};
  copy other{c};
  primary.lead({a, b, c});
  primary.flush();
  const auto barrier = primary.append({});
  primary.flush();
  for (auto* const backup : {&one, &other}) {
    backup->know(primary.replica.record());
    backup->receive(prepare_of(a, 1, barrier));
    backup->flush();
    primary.receive(*backup->sent<prepared_message>());
  }
  REQUIRE(primary.replica.role() == replica_role::primary);
  primary.receive(*one.answer<grant_message>(primary, start));
  CHECK_FALSE(primary.replica.may_answer(start, start));
  primary.receive(*other.answer<grant_message>(primary, start));
  CHECK(primary.replica.may_answer(start, start));
}

TEST_CASE("a copy does not lead an epoch that it does not know to have stood for") {
  copy one{a};
  one.know(record_of(1, 1, b, {a, b}));
  const auto late = one.replica.stand(start + times.guard);
  REQUIRE(late);
  copy again{a};
  again.know(record_of(1, 1, b, {a, b}));
  again.win(*late);
  CHECK(again.replica.role() == replica_role::backup);
  // Between the two lives another may have granted something.
  CHECK_FALSE(again.replica.stand(start + times.guard - instant));
  CHECK(again.replica.stand(start + times.guard));
}

TEST_CASE("a copy does not lead an epoch below one that it has promised since it stood") {
  copy one{a};
  one.know(record_of(1, 1, b, {a, b, c}));
  const auto won = one.replica.stand(after(2000));
  REQUIRE(won);
  beacon_message newer;
  newer.from = c;
  newer.epoch = 3;
  one.receive(newer, after(2100));
  one.win(*won, after(2200));
  CHECK(one.replica.role() == replica_role::backup);
  CHECK(one.replica.state().promised_epoch == 3);
}

TEST_CASE("nobody waits for the leases of a primary that is proven to be dead, or gave up") {
  pair both;
  auto& [primary, backup] = both;
  backup.answer<grant_message>(primary, start);
  CHECK_FALSE(backup.replica.stand(start));
  backup.replica.primary_died(a.id, 7, start, backup.effects);  // another life
  CHECK_FALSE(backup.effects.change);
  SUBCASE("dead") {
    backup.replica.primary_died(a.id, 1, start, backup.effects);
  }
  SUBCASE("handed over") {
    primary.replica.hand_over(b.id, start, primary.effects);
    CHECK(primary.replica.role() == replica_role::backup);
    CHECK_FALSE(primary.replica.stand(start));
    const auto release = primary.sent<release_message>();
    REQUIRE(release);
    auto to_another = *release;
    to_another.successor = c.id;
    backup.receive(to_another);
    CHECK_FALSE(backup.effects.change);
    backup.receive(*release);
  }
  REQUIRE(backup.effects.change);
  CHECK(backup.effects.change->primary == b.id);
}

TEST_CASE("what is appended is committed before the primacy is handed over") {
  pair both;
  auto& [primary, backup] = both;
  const auto entry = both.send("x");
  primary.flush();
  primary.replica.hand_over(b.id, start, primary.effects);
  CHECK(primary.replica.role() == replica_role::primary);
  CHECK_FALSE(primary.replica.may_append());
  backup.flush();
  primary.receive(*backup.sent<prepared_message>());
  primary.tick(start);
  CHECK(primary.replica.role() == replica_role::backup);
}

TEST_CASE("a copy whose disk went back to before what was committed is not used") {
  copy one{b};
  auto record = record_of(4, 1, a, {a, b});
  record.commit_floor = 10;
  one.know(record);
  CHECK(one.effects.set_aside == damage::lost_committed);
  CHECK_FALSE(one.tick(after(10000)));
  one.receive(beacon_message{a, 0, 0, 4, 0, {}, after(10000)}, after(10000));  // of an older epoch
  REQUIRE(one.effects.messages.size() == 1);
  CHECK(one.sent<behind_message>()->epoch == 0);  // whether a leads
  CHECK_FALSE(one.effects.quarantined);
  SUBCASE("what it has is kept until another one is heard to lead") {
    one.receive(beacon_message{a, 0, 1, 4, 0, {}, after(10000)}, after(10000));
    CHECK(one.effects.quarantined == damage::lost_committed);
  }
  SUBCASE("also when the record does without it") {
    record = with_primary(record, a, 2);
    remove(record, {b});
    one.win(record, after(10001));
    CHECK(one.replica.set_aside() == damage::lost_committed);
    CHECK_FALSE(one.effects.quarantined);
    one.receive(beacon_message{a, 0, 2, 5, 0, {}, after(10002)}, after(10002));
    CHECK(one.effects.quarantined == damage::lost_committed);
  }
  SUBCASE("an operator may go on with it") {
    one.replica.break_glass(after(10001), one.effects);
    const auto wanted = std::exchange(one.effects.change, {});
    REQUIRE(wanted);
    one.win(*wanted, after(10002));
    CHECK(one.replica.role() == replica_role::recovering);
    CHECK_FALSE(one.replica.set_aside());
  }
}

TEST_CASE("whoever led when it died may stand at once: it has granted nothing since") {
  copy one{a};
  one.lead({a, b});
  one.flush();
  one.append({});  // the barrier
  one.flush();
  const copy_state kept = one.replica.state();
  replica again{kept, one.replica.log(), settings_of(a, 2), after(100)};
  replica_effects effects;
  again.learn(one.replica.record(), after(100), effects);
  CHECK(again.stand(after(100)));
}

// Goal: a promise is no proof of having led: who only learns that it has won makes it too, and may
// have granted a lease to the primary before just then.
TEST_CASE("whoever learnt that it had won, and promised that, has to wait all the same") {
  copy one{a};
  one.lead({a, b});
  const auto won = one.replica.record();
  copy_state promised{a.id, 0, won.epoch, {}};
  replica learnt{promised, partition_log{one.replica.log().partition()}, settings_of(a, 2),
                 after(100)};
  replica_effects effects;
  learnt.learn(won, after(100), effects);
  CHECK_FALSE(learnt.stand(after(100)));
  CHECK(learnt.stand(after(100) + times.guard));
}

}  // namespace
}  // namespace millrace::runtime
