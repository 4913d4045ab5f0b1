// SPDX-License-Identifier: MIT
// The in-sync set: who leaves and joins, what counts meanwhile, and copies that catch up.
#include "partition/replica.h"

#include "replica_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

TEST_CASE("a copy that does not answer leaves the set, and counts until that is known") {
  pair both;
  auto& primary = both.primary;
  settle(both);
  primary.append("x");
  primary.flush();
  CHECK_FALSE(pass(primary, 50, 1150));
  const auto wanted = pass(primary, 1200, 1200);
  REQUIRE(wanted);
  CHECK(wanted->in_sync == set{a});
  CHECK(wanted->epoch == 1);
  CHECK(primary.replica.committed() == 1);
  auto same = primary.replica.record();
  primary.know(same, after(1300));  // read again, and it has not happened; it still may
  CHECK(primary.replica.committed() == 1);
  primary.win(*wanted, after(1400));
  CHECK(primary.replica.committed() == 2);
}

TEST_CASE("a change whose outcome is not known is asked for again, the same one") {
  pair both;
  settle(both);
  const auto first = pass(both.primary, 50, 1200);
  const auto again = pass(both.primary, 1250, 1700);
  REQUIRE(again);
  CHECK(again->nonce == first->nonce);
  // Somebody else was quicker: what it compared with is gone.
  auto other = both.primary.replica.record();
  other.version += 5;
  both.primary.know(other, after(1750));
  const auto anew = pass(both.primary, 1800, 1800);
  REQUIRE(anew);
  CHECK(anew->nonce != first->nonce);
  CHECK(anew->version == other.version);
}

TEST_CASE("a copy that answers and acknowledges nothing has to go, and one that cannot write") {
  pair both;
  auto& [primary, backup] = both;
  settle(both);
  std::optional<partition_record> wanted;
  SUBCASE("silent about an entry") {
    primary.append("x");
    primary.flush();
    for (auto at = 50; at <= 1300 && !wanted; at += 50) {
      wanted = primary.tick(after(at));
      primary.receive(*backup.answer<grant_message>(primary, after(at)), after(at));
    }
    backup.effects.clear();
  }
  SUBCASE("refuses") {
    both.send("x");
    backup.effects.entries.clear();
    backup.replica.write_failed(start, backup.effects);
    CHECK(backup.replica.log().tail().seq == 1);
    primary.receive(*backup.sent<refused_message>());
    wanted = primary.tick(after(50));
  }
  SUBCASE("is on a silo that is dead") {
    primary.replica.silo_died(b.silo);
    wanted = primary.tick(after(50));
  }
  REQUIRE(wanted);
  CHECK(wanted->in_sync == set{a});
}

// Goal: a copy moves away without a set that is smaller for it.
TEST_CASE("a member that is to go leaves once there is one more than there should be") {
  SUBCASE("there is") {
    pair both{1, 1};
    settle(both);
    CHECK_FALSE(both.primary.tick(after(50)));
    both.primary.replica.let_go(b.id);
    const auto wanted = both.primary.tick(after(100));
    REQUIRE(wanted);
    CHECK(wanted->in_sync == set{a});
    CHECK(wanted->eligible.empty());
    both.primary.win(*wanted, after(150));
    CHECK_FALSE(both.primary.tick(after(200)));
  }
  SUBCASE("there is not") {
    pair both{1, 2};
    settle(both);
    both.primary.replica.let_go(b.id);
    CHECK_FALSE(both.primary.tick(after(100)));
  }
  SUBCASE("it is the primary, or a stranger") {
    pair both{1, 1};
    settle(both);
    both.primary.replica.let_go(a.id);
    CHECK_FALSE(both.primary.tick(after(100)));
    both.primary.replica.let_go(c.id);
    CHECK_FALSE(both.primary.tick(after(150)));
  }
}

TEST_CASE("nobody is blamed for the time in which the primary itself did not run") {
  pair both;
  settle(both);
  both.primary.tick(after(50));
  CHECK_FALSE(both.primary.tick(after(9000)));
  CHECK_FALSE(both.primary.tick(after(9050)));
}

// Goal: with a slow disk each turn of the primary is a gap, and what a gap may hide is read with
// the next one.
TEST_CASE(
    "a primary that is held up again and again lets go of who does not answer, and only him") {
  pair both;
  auto& [primary, backup] = both;
  settle(both);
  constexpr std::int64_t turn = 700;
  bool answers = true;
  bool acknowledges = true;
  std::int64_t gone_after = 3 * turn;
  SUBCASE("it is silent") {
    answers = acknowledges = false;
  }
  SUBCASE("it answers, and does not write") {
    acknowledges = false;
    gone_after = 4 * turn;  // the entry is older than the turn in which it was seen first
  }
  SUBCASE("it does both") {
    gone_after = 0;
  }
  primary.tick(after(0));
  const auto entry = primary.append("x");
  primary.flush();
  if (acknowledges) {
    backup.receive(prepare_of(a, 1, entry), start);
    backup.flush();
  }
  backup.effects.clear();
  std::int64_t asked_at = 0;
  for (auto at = turn; at <= 10 * turn && asked_at == 0; at += turn) {
    if (answers) {
      primary.effects.messages.clear();
      primary.replica.send_beacons(after(at - turn), primary.effects);
      backup.receive(*primary.sent<beacon_message>(), after(at - turn));
      for (const auto& each : std::exchange(backup.effects.messages, {})) {
        primary.receive(each.message, after(at));
      }
    }
    asked_at = primary.tick(after(at)) ? at : 0;
  }
  CHECK(asked_at == gone_after);
}

TEST_CASE("what came in time and is read late is no reason to let a copy go") {
  pair both;
  auto& [primary, backup] = both;
  settle(both);
  primary.tick(after(50));
  CHECK_FALSE(primary.tick(after(1900)));
  const auto answer = backup.answer<grant_message>(primary, after(1900));
  CHECK_FALSE(primary.tick(after(2250)));
  primary.receive(*answer, after(2290));
  CHECK_FALSE(pass(primary, 2300, 3450));
  CHECK(pass(primary, 3500, 3500));  // as after any other silence
}

// Goal: a copy that does not keep up does not fill memory and disk of its primary.
TEST_CASE("the log that is kept for a copy that does not keep up has a bound") {
  constexpr std::size_t entry_bytes = journal_entry_overhead_bytes + 1;
  learning both{6, 4 * entry_bytes};
  auto& primary = both.primary;
  const auto write = [&](int entries) {
    for (int count = 0; count < entries; ++count) {
      primary.append("x");
    }
    primary.flush();
    primary.replica.checkpointed(primary.replica.log().tail());
    primary.tick(after(50));
    primary.effects.clear();
  };
  const auto send_rows = [&](const log_tail& base, const char* from, std::size_t bytes) {
    primary.replica.send_range({b, base, from}, std::string(bytes, 'r'), "next",
                               primary.replica.committed(), primary.effects);
  };
  write(0);
  const auto base = primary.replica.log().tail();
  REQUIRE(base.seq == 6);
  SUBCASE("as much as it is") {
    send_rows({}, "", 10);
    write(4);
    CHECK(primary.replica.forgettable() == 6);
    write(1);
    CHECK(primary.replica.forgettable() == 11);
    send_rows(base, "next", 10);
    CHECK(primary.sent<snapshot_message>());  // though the log is there still
    CHECK(primary.replica.forgettable() == 11);
    send_rows({}, "", 10);
    CHECK(primary.sent<range_message>());
    write(4);
    CHECK(primary.replica.forgettable() == 11);
  }
  SUBCASE("of what is committed") {
    send_rows({}, "", 10);
    for (int count = 0; count < 5; ++count) {
      primary.append("not yet flushed");
    }
    primary.tick(after(50));
    CHECK(primary.replica.forgettable() == 6);
    primary.effects.clear();
    send_rows(base, "next", 10);
    CHECK(primary.sent<range_message>());
  }
  SUBCASE("or as much as the rows that would be sent anew") {
    send_rows({}, "", 4 * entry_bytes);
    send_rows(base, "next", entry_bytes);
    write(5);
    CHECK(primary.replica.forgettable() == 6);
    write(1);
    CHECK(primary.replica.forgettable() == 12);
  }
}

TEST_CASE("below the minimum nothing is committed, and who is removed stays complete") {
  pair both{2, 3};
  auto& primary = both.primary;
  settle(both);
  primary.append("x");
  primary.flush();
  const auto wanted = pass(primary, 50, 1200);
  REQUIRE(wanted);
  CHECK(wanted->in_sync == set{a});
  CHECK(wanted->eligible == set{b});
  primary.win(*wanted, after(1250));
  CHECK(primary.replica.committed() == 1);
  CHECK_FALSE(primary.replica.may_append());
  CHECK_FALSE(primary.replica.may_answer(after(1250), after(1250)));  // b may lead
  // It has everything, and stands when the primary is silent.
  both.backup.know(primary.replica.record());
  const auto standing = both.backup.replica.stand(after(4000));
  REQUIRE(standing);
  CHECK(standing->in_sync == set{b});
  CHECK(standing->eligible == set{a});
}

TEST_CASE("a change that would restore the minimum does not until it is known to have happened") {
  auto record = record_of(1, 1, a, {a}, 2);
  record.eligible = {c};
  in_sync_set members;
  REQUIRE(members.learn(record));
  auto wanted = record;
  add(wanted, b);
  CHECK(wanted.eligible.empty());
  members.ask(wanted);
  CHECK(members.counts(b));
  CHECK_FALSE(members.has_minimum());  // c, which the record lists, would lack the entry
  ++wanted.version;
  REQUIRE(members.learn(wanted));
  CHECK(members.has_minimum());
}

TEST_CASE("a primary that needs a change and does not get it stops, and says so") {
  pair both;
  auto& primary = both.primary;
  settle(both);
  pass(primary, 50, 6150);
  CHECK(primary.replica.role() == replica_role::primary);
  primary.effects.messages.clear();
  pass(primary, 6200, 6250);
  CHECK(primary.replica.role() == replica_role::backup);
  CHECK(primary.effects.lost_primacy);
  const auto release = primary.sent<release_message>();
  REQUIRE(release);
  both.backup.receive(*release, after(100));
  CHECK(both.backup.effects.change);                // at once
  CHECK_FALSE(primary.replica.stand(after(6300)));  // the others first
}

// Goal: one that is cut off from the store is not in the way of a copy that could take over.
TEST_CASE("a primary that may not write, and is not allowed a second copy, stops as well") {
  learning both{3};
  auto& primary = both.primary;
  primary.win(record_of(primary.replica.record().version, 1, a, {a}, 2));
  both.compare(77);
  std::int64_t asked = 0;
  std::int64_t stopped = 0;
  for (std::int64_t at = 150; at <= 7000 && stopped == 0; at += 50) {
    asked = primary.tick(after(at)) && asked == 0 ? at : asked;
    stopped = primary.replica.role() == replica_role::backup ? at : 0;
    both.exchange(at);
  }
  CHECK(asked > 0);
  CHECK(stopped >= asked + 5000);
  CHECK(stopped <= asked + 5100);
}

TEST_CASE("a primary whose set is whole goes on without the store") {
  pair both;
  both.primary.tick(start);  // what it asks is never answered
  for (auto at = 50; at <= 20000; at += 50) {
    both.primary.tick(after(at));
    both.primary.receive(*both.backup.answer<grant_message>(both.primary, after(at)), after(at));
  }
  CHECK(both.primary.replica.role() == replica_role::primary);
}

TEST_CASE("the record learns from time to time what is committed") {
  pair both;
  settle(both);
  for (auto count = 0; count < 3; ++count) {
    both.commit("x");
  }
  std::optional<partition_record> wanted;
  for (auto at = 50; at <= 31000 && !wanted; at += 50) {
    wanted = both.primary.tick(after(at));
    both.primary.receive(*both.backup.answer<grant_message>(both.primary, after(at)), after(at));
  }
  REQUIRE(wanted);
  CHECK(wanted->commit_floor == 4);
  CHECK(wanted->in_sync == set{a, b});
}

TEST_CASE("a copy joins after its log has caught up, its rows are the same, and commits wait") {
  learning both;
  auto& [primary, learner, encoded, told] = both;
  REQUIRE(primary.effects.shipments.size() == 1);
  CHECK(primary.effects.shipments[0].first_seq == 1);
  both.exchange(50);
  CHECK(learner.replica.log().tail() == primary.replica.log().tail());
  CHECK_FALSE(primary.tick(after(100)));
  REQUIRE(primary.effects.digest_at == 3);
  both.exchange(100);
  REQUIRE(learner.effects.digest_at == 3);
  primary.replica.digested(3, 77, primary.effects);
  SUBCASE("the same rows") {
    learner.replica.digested(3, 77, learner.effects);
    both.exchange(120);
    const auto wanted = primary.tick(after(150));
    REQUIRE(wanted);  // it has everything up to when commits began to wait
    primary.append("must wait");
    primary.flush();
    CHECK(primary.replica.committed() == 3);
    CHECK(wanted->in_sync == set{a, b});
    CHECK(wanted->commit_floor == 3);
    // Unknown, and gone again: it may be in the set all the same.
    pass(primary, 250, 3000);
    CHECK(primary.replica.committed() == 3);
  }
  SUBCASE("other rows") {
    learner.replica.digested(3, 78, learner.effects);
    both.exchange(120);
    CHECK_FALSE(primary.tick(after(150)));
    both.exchange(160);
    CHECK(learner.effects.quarantined == damage::discarded);
  }
}

// Goal: who has won below the minimum does not wait for ever for whom the record calls eligible.
// Method: that one is gone, and an empty copy comes; the primary has what is committed.
TEST_CASE("a winner below the minimum goes on with a new copy when the eligible one is gone") {
  learning both;
  auto& [primary, learner, encoded, told] = both;
  primary.know(record_of(9, 2, c, {a, c}, 2), after(200));
  auto won = primary.replica.stand(after(10'000));
  REQUIRE(won);
  CHECK(won->eligible == set{c});
  primary.win(*won, after(10'000));
  encoded.push_back(primary.append({}));
  primary.flush();
  if (const auto floor = pass(primary, 10'050, 12'000)) {
    primary.win(*floor, after(12'000));
  }
  CHECK(primary.replica.role() == replica_role::recovering);

  learner.know(primary.replica.record(), after(12'000));
  learner.flush();
  learner.tick(after(13'000));
  const auto behind = learner.sent<behind_message>();
  REQUIRE(behind);
  primary.receive(*behind, after(13'000));
  both.exchange(13'000);
  pass(primary, 13'050, 13'300);
  both.exchange(13'300);
  const auto seq = primary.replica.committed();
  primary.replica.digested(seq, 77, primary.effects);
  learner.replica.digested(seq, 77, learner.effects);
  both.exchange(13'350);
  const auto wanted = pass(primary, 13'400, 13'500);
  REQUIRE(wanted);
  CHECK(wanted->in_sync == set{a, b});
  CHECK(wanted->eligible.empty());
  primary.win(*wanted, after(13'600));
  CHECK(primary.replica.role() == replica_role::primary);
  CHECK(primary.replica.may_append());
}

// A copy that does not follow yet would drop the question, and others would wait for its answer.
TEST_CASE("rows are compared once the copy follows, and it is asked again when nothing comes") {
  learning both;
  auto& primary = both.primary;
  primary.tick(after(50));
  CHECK_FALSE(primary.sent<compare_message>());
  both.exchange(60);
  primary.tick(after(100));
  const auto lost = primary.sent<compare_message>();
  REQUIRE(lost);
  primary.effects.messages.clear();
  primary.tick(after(550));
  CHECK_FALSE(primary.sent<compare_message>());
  primary.tick(after(600));
  const auto again = primary.sent<compare_message>();
  REQUIRE(again);
  CHECK(again->seq == lost->seq);
  both.learner.receive(*again, after(610));
  both.learner.replica.digested(lost->seq, 77, both.learner.effects);
  both.exchange(620);
  primary.tick(after(1100));
  CHECK_FALSE(primary.sent<compare_message>());  // its own digest is missing
}

TEST_CASE("a copy that commits wait for, and that was not asked into the set, may go again") {
  learning both;
  auto& primary = both.primary;
  both.exchange(50);
  primary.tick(after(100));
  both.exchange(100);
  primary.replica.digested(3, 77, primary.effects);
  both.learner.replica.digested(3, 77, both.learner.effects);
  primary.append("not sent");
  primary.flush();
  for (const auto& each : std::exchange(both.learner.effects.messages, {})) {
    primary.receive(each.message, after(120));
  }
  CHECK_FALSE(pass(primary, 150, 1250));
  CHECK(primary.replica.committed() == 4);
}

TEST_CASE("what the log does not have any more comes as rows, and the log goes on from there") {
  learning both{6};
  auto& [primary, learner, encoded, told] = both;
  primary.replica.checkpointed(primary.replica.log().at(4));
  primary.replica.forget_through(4);
  both.begin_snapshot();
  const auto first = learner.sent<fetch_message>();
  REQUIRE(first);
  primary.receive(*first, after(20));
  REQUIRE(primary.effects.ranges.size() == 1);
  primary.replica.send_range(primary.effects.ranges[0], "rows 1", "k", 5, primary.effects);
  primary.replica.checkpointed(primary.replica.log().at(6));
  CHECK(primary.replica.forgettable() == 5);  // it is needed still
  const auto range = primary.sent<range_message>();
  REQUIRE(range);
  learner.receive(*range, after(30));
  CHECK(learner.effects.clear_rows);
  CHECK(learner.effects.rows == std::vector<std::string>{"rows 1"});
  CHECK(learner.replica.state().checkpointed.seq == 0);
  learner.flush();
  const auto second = learner.sent<fetch_message>();
  REQUIRE(second);
  CHECK(second->first == "k");
  learner.receive(compare_message{a, 1, 1, 6}, after(32));
  CHECK_FALSE(learner.effects.digest_at);  // its rows are of no entry yet
  learner.receive(*range, after(35));      // doubled
  CHECK(learner.effects.rows.size() == 1);
  primary.receive(*second, after(40));
  primary.replica.send_range(primary.effects.ranges[1], "rows 2", "", 6, primary.effects);
  learner.receive(*primary.sent<range_message>(), after(50));
  CHECK(learner.replica.state().checkpointed == primary.replica.log().at(5));
  CHECK(learner.replica.log().base().seq == 5);
  learner.flush();
  const auto now_there = learner.answer<behind_message>(primary, after(55));
  REQUIRE(now_there);
  primary.receive(*now_there, after(60));
  REQUIRE(primary.effects.shipments.size() == 1);
  CHECK(primary.effects.shipments[0].first_seq == 6);
}

// Goal: a slow disk does not gather a whole partition in memory.
TEST_CASE("the next range is asked for once the one before is written, and not earlier") {
  learning both{6};
  auto& [primary, learner, encoded, told] = both;
  primary.replica.checkpointed(primary.replica.log().at(4));
  primary.replica.forget_through(4);
  both.begin_snapshot();
  learner.effects.clear();
  learner.receive(range_message{a, 0, 1, primary.replica.log().at(5), 5, "", "k", "rows 1"});
  primary.effects.clear();
  primary.replica.send_beacons(after(2000), primary.effects);
  learner.receive(*primary.sent<beacon_message>(), after(2000));
  CHECK_FALSE(learner.sent<fetch_message>());
  learner.flush();
  const auto next = learner.sent<fetch_message>();
  REQUIRE(next);
  CHECK(next->first == "k");
  learner.flush();
  CHECK_FALSE(learner.sent<fetch_message>());
  primary.replica.send_beacons(after(2600), primary.effects);
  learner.receive(*primary.sent<beacon_message>(), after(2600));
  CHECK(learner.sent<fetch_message>());  // it was lost
}

TEST_CASE("a copy that left the set twice in a while stays out for longer and longer") {
  flap_book book;
  book.ejected(b, start);
  CHECK(book.may_join(b, after(1)));
  book.ejected(b, after(1000));
  CHECK(book.may_join(c, after(1001)));
  CHECK_FALSE(book.may_join(b, after(10999)));
  CHECK(book.may_join(b, after(11000)));
  book.ejected(b, after(11000));
  CHECK_FALSE(book.may_join(b, after(30999)));
  CHECK(book.may_join(b, after(31000)));
  for (int count = 0; count < 9; ++count) {
    book.ejected(b, after(31000));
  }
  CHECK_FALSE(book.may_join(b, after(330999)));
  CHECK(book.may_join(b, after(331000)));
  CHECK(book.may_join(b, after(631000)));  // all is forgotten
}

// Goal: a slow link keeps no copy out for as long as there are writes. Method: an entry is written
// after 700 ms, and the copy acknowledges those before it.
TEST_CASE("a copy is as far as it has to be with half of what a member may lack") {
  learning both;
  auto& primary = both.primary;
  pass(primary, 50, 650);
  primary.append("on its way");
  primary.flush();
  primary.effects.shipments.pop_back();
  const auto is_compared_at = [&](std::int64_t at) {
    pass(primary, 700, at - 50);
    primary.effects.messages.clear();
    both.exchange(at);
    primary.tick(after(at));
    return primary.sent<compare_message>().has_value();
  };
  SUBCASE("before that") {
    CHECK(is_compared_at(1250));
  }
  SUBCASE("after that") {
    CHECK_FALSE(is_compared_at(1300));
  }
}

TEST_CASE("a silo that may be back is waited for while there are copies enough to write") {
  const auto asks_at = [](std::size_t in_sync_min) {
    auto settings = settings_of(a, 3);
    settings.await_for = std::chrono::minutes{5};
    copy primary{a, partition_log{p0}, settings};
    primary.lead({a}, in_sync_min);
    primary.flush();
    for (std::int64_t at = 1000;; at += 1000) {
      primary.tick(after(at));
      if (primary.effects.wants_copy || at > 900'000 ||
          primary.replica.role() == replica_role::backup) {
        return at;
      }
    }
  };
  CHECK(asks_at(1) == 601'000);
  CHECK(asks_at(2) == 301'000);
}

TEST_CASE("a partition that has too few copies for long asks for another one") {
  learning both;
  bool wants = false;
  for (std::int64_t at = 100; at < 310000 && !wants; at += 100) {
    both.primary.tick(after(at));
    wants = both.primary.effects.wants_copy;
    CHECK((at > 299000 || !wants));
  }
  CHECK(wants);
}

// Method: nobody is left who has anything, and the set was large: it is led at once, and answers
// when a second empty copy has joined.
TEST_CASE("by an operator's decision a partition of which no copy is left begins empty") {
  copy chosen{b};
  copy other{c};
  auto lost = record_of(3, 4, a, {a});
  lost.in_sync_min = 2;
  lost.commit_floor = 7;
  chosen.know(lost);
  other.know(lost);
  CHECK_FALSE(chosen.replica.stand(after(10000)));
  chosen.replica.break_glass(start, chosen.effects);
  const auto wanted = std::exchange(chosen.effects.change, {});
  REQUIRE(wanted);
  CHECK(wanted->data_loss_no == 1);
  CHECK(wanted->in_sync == set{b});
  CHECK(wanted->commit_floor == 0);
  chosen.win(*wanted);
  CHECK(chosen.replica.role() == replica_role::recovering);
  CHECK(chosen.replica.state().data_loss_no == 1);
  CHECK_FALSE(chosen.replica.set_aside());
  other.win(*wanted);
  CHECK(other.effects.quarantined == damage::given_up);
}

TEST_CASE("by an operator's decision a partition goes on with what one copy has") {
  const pair with_content;
  copy chosen{b};
  copy other{c, with_content.backup.replica.log()};
  copy empty{{{0, 4}, "sd"}};
  const auto lost = record_of(3, 4, a, {a});
  chosen.know(lost);
  other.know(lost);
  empty.know(lost);
  CHECK_FALSE(chosen.replica.stand(after(10000)));
  chosen.replica.break_glass(start, chosen.effects);
  const auto wanted = std::exchange(chosen.effects.change, {});
  REQUIRE(wanted);
  CHECK(wanted->data_loss_no == 1);
  CHECK(wanted->in_sync == set{b});
  SUBCASE("it leads") {
    chosen.win(*wanted);
    CHECK(chosen.replica.role() == replica_role::recovering);
    CHECK(chosen.replica.state().data_loss_no == 1);
  }
  SUBCASE("it was chosen, and has died meanwhile: it is not what is thrown away") {
    copy again{b};
    again.win(*wanted);
    CHECK(again.replica.role() == replica_role::backup);
    CHECK(again.replica.state().data_loss_no == 1);
    CHECK(again.replica.stand(after(2000)));
  }
  other.win(*wanted);
  empty.win(*wanted);
  CHECK(empty.effects.quarantined == damage::given_up);
  CHECK(other.effects.set_aside == damage::given_up);
  CHECK_FALSE(other.effects.quarantined);
  SUBCASE("what was given up is kept until the chosen one is heard to lead") {
    other.tick(after(10000));
    const auto asked = other.sent<behind_message>();
    REQUIRE(asked);
    CHECK(asked->epoch < wanted->epoch);
    other.receive(beacon_message{b, 1, wanted->epoch, 9, 0, {}, after(10001)}, after(10001));
    CHECK(other.effects.quarantined == damage::given_up);
  }
  SUBCASE("it may be chosen after all") {
    other.replica.break_glass(after(10000), other.effects);
    const auto back = std::exchange(other.effects.change, {});
    REQUIRE(back);
    CHECK(back->data_loss_no == 2);
    other.win(*back);
    CHECK(other.replica.role() == replica_role::recovering);
    CHECK_FALSE(other.replica.set_aside());
  }
}

}  // namespace
}  // namespace millrace::runtime
