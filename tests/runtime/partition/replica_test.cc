// SPDX-License-Identifier: MIT
#include "partition/replica.h"

#include <doctest/doctest.h>

#include "replica_cluster.h"

namespace millrace::runtime {
namespace {

using namespace testing;

constexpr auto p0 = partition_id{0};
constexpr steady_time start{std::chrono::hours{1}};
constexpr copy_id a{0, 1};
constexpr copy_id b{0, 2};
constexpr copy_id c{0, 3};
constexpr lease_times times;

partition_record record_of(std::uint64_t version, std::uint64_t epoch, copy_id primary,
                           std::vector<copy_id> in_sync) {
  partition_record record;
  record.version = version;
  record.epoch = epoch;
  record.primary = primary;
  record.in_sync = std::move(in_sync);
  return record;
}

// A copy with a disk that writes at once when told.
struct copy {
  explicit copy(copy_id id, partition_log log = partition_log{p0})
      : replica({id, 0, 0, {}}, std::move(log), times, start) {}

  void know(const partition_record& record) { replica.learn(record, effects); }

  // Becomes primary with that set.
  void lead(std::vector<copy_id> in_sync, std::size_t in_sync_min = 1) {
    auto record = record_of(replica.record().version + 1, replica.record().epoch,
                            replica.state().id, std::move(in_sync));
    record.in_sync_min = in_sync_min;
    know(record);
    auto won = replica.take_over(start);
    REQUIRE(won);
    ++won->version;
    know(*won);
  }

  std::string append(std::string_view ops) {
    std::string bytes;
    replica.append(ops, ++position, bytes, effects);
    return bytes;
  }

  void flush() {
    replica.place(position + 1, effects.entries.size());
    position += effects.entries.size();
    effects.entries.clear();
    effects.persist = false;
    replica.durable(effects);
  }

  // The first message of that kind, and none is left.
  template <class Message>
  std::optional<Message> sent() {
    std::optional<Message> found;
    for (const auto& each : std::exchange(effects.messages, {})) {
      if (const auto* message = std::get_if<Message>(&each.message); message && !found) {
        found = *message;
      }
    }
    return found;
  }

  class replica replica;
  replica_effects effects;
  std::uint64_t position = 0;
};

prepare_message prepare_of(copy_id from, std::uint64_t epoch, std::string entry,
                           std::uint64_t committed = 0) {
  prepare_message message;
  message.from = from;
  message.epoch = epoch;
  message.committed = committed;
  message.entry = std::move(entry);
  return message;
}

TEST_CASE("a copy that is alone commits what its own disk has, and not before") {
  copy one{a};
  one.lead({a});
  CHECK(one.replica.role() == replica_role::primary);
  CHECK(one.replica.may_answer(start));
  CHECK_FALSE(one.effects.persist);  // its first entry says as much
  one.append("x");
  one.append("y");
  CHECK(one.replica.committed() == 0);
  one.flush();
  CHECK(one.replica.committed() == 2);
  CHECK(one.effects.shipments.empty());
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
  CHECK(primary.replica.role() == replica_role::recovering);
  CHECK_FALSE(primary.effects.wants_barrier);  // the promise first
  CHECK(primary.effects.persist);
  primary.flush();
  REQUIRE(primary.effects.wants_barrier);
  const auto barrier = primary.append({});
  REQUIRE(primary.effects.shipments.size() == 1);
  primary.flush();
  CHECK(primary.replica.committed() == 0);

  backup.replica.receive(prepare_of(a, 1, barrier), start, backup.effects);
  CHECK(backup.effects.persist);
  CHECK_FALSE(backup.sent<prepared_message>());  // not on its disk yet
  backup.flush();
  const auto prepared = backup.sent<prepared_message>();
  REQUIRE(prepared);
  auto foreign = *prepared;
  foreign.from = c;
  primary.replica.receive(foreign, start, primary.effects);
  auto earlier = *prepared;
  earlier.epoch = 0;
  primary.replica.receive(earlier, start, primary.effects);
  CHECK(primary.replica.committed() == 0);
  primary.replica.receive(*prepared, start, primary.effects);
  CHECK(primary.replica.committed() == 1);
  CHECK(primary.replica.role() == replica_role::primary);
  CHECK(backup.replica.committed() == 0);
}

TEST_CASE("a lower epoch is fenced off, and whoever hears of a higher one steps down") {
  copy old{a};
  old.lead({a, b, c});
  copy other{b};
  std::string entry;
  partition_log log{p0};
  log.append(2, 1, "x", entry);
  other.replica.receive(prepare_of(c, 2, entry), start, other.effects);
  other.flush();
  other.effects.clear();
  other.replica.receive(prepare_of(a, 1, entry), start, other.effects);
  const auto fenced = other.sent<fenced_message>();
  REQUIRE(fenced);
  CHECK(fenced->promised_epoch == 2);
  old.replica.receive(*fenced, start, old.effects);
  CHECK(old.replica.role() == replica_role::backup);
  CHECK(old.effects.lost_primacy);
}

TEST_CASE("a backup drops what another primary did not commit, and never what was committed") {
  copy backup{b};
  partition_log of_a{p0};
  std::string first;
  std::string second;
  of_a.append(1, 1, "1", first);
  auto of_c = of_a;
  of_a.append(1, 2, "2 of a", second);
  backup.replica.receive(prepare_of(a, 1, first), start, backup.effects);
  backup.replica.receive(prepare_of(a, 1, second, 1), start, backup.effects);
  backup.flush();
  CHECK(backup.replica.committed() == 1);
  std::string other;
  of_c.append(2, 2, "2 of c", other);
  backup.replica.receive(prepare_of(c, 2, other), start, backup.effects);
  CHECK(backup.effects.erased == std::vector<std::uint64_t>{2});
  CHECK(backup.replica.log().tail() == of_c.tail());
  CHECK_FALSE(backup.effects.is_damaged);
  partition_log foreign{p0};
  std::string instead;
  foreign.append(3, 1, "1 of nobody", instead);
  backup.replica.receive(prepare_of(a, 3, instead), start, backup.effects);
  CHECK(backup.effects.is_damaged);
  CHECK(backup.replica.log().tail() == of_c.tail());
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
  CHECK(again.replica.role() == replica_role::primary);
  CHECK(again.replica.record().epoch == 2);
  CHECK(again.replica.committed() == 1);
}

TEST_CASE("reads need the leave of every other copy, and leave counts from when it was asked for") {
  copy primary{a};
  copy backup{b};
  primary.lead({a, b});
  primary.flush();
  backup.replica.receive(prepare_of(a, 1, primary.append({})), start, backup.effects);
  primary.flush();
  backup.flush();
  primary.replica.receive(*backup.sent<prepared_message>(), start, primary.effects);
  REQUIRE(primary.replica.role() == replica_role::primary);
  CHECK_FALSE(primary.replica.may_answer(start));
  primary.replica.send_beacons(start, primary.effects);
  const auto arrived = start + std::chrono::milliseconds{300};
  backup.replica.receive(*primary.sent<beacon_message>(), arrived, backup.effects);
  primary.replica.receive(*backup.sent<grant_message>(), arrived, primary.effects);
  CHECK(primary.replica.may_answer(start + times.lease - std::chrono::nanoseconds{1}));
  CHECK_FALSE(primary.replica.may_answer(start + times.lease));

  backup.know(record_of(2, 1, a, {a, b}));
  CHECK_FALSE(backup.replica.take_over(arrived + times.guard - std::chrono::nanoseconds{1}));
  const auto wanted = backup.replica.take_over(arrived + times.guard);
  REQUIRE(wanted);
  CHECK(wanted->epoch == 2);
  CHECK(wanted->primary == b);
  CHECK(wanted->in_sync == std::vector<copy_id>{b});
  // Whoever stands for primary must not grant what it would have to wait for again.
  primary.replica.send_beacons(arrived + times.guard, primary.effects);
  backup.replica.receive(*primary.sent<beacon_message>(), arrived + times.guard, backup.effects);
  CHECK_FALSE(backup.sent<grant_message>());
}

TEST_CASE("a copy does not lead an epoch that it does not know to have stood for") {
  copy one{a};
  one.know(record_of(1, 1, b, {a, b}));
  const auto late = one.replica.take_over(start + times.guard);
  REQUIRE(late);
  copy again{a};
  again.know(record_of(1, 1, b, {a, b}));
  auto applied = *late;
  ++applied.version;
  again.know(applied);
  CHECK(again.replica.role() == replica_role::backup);
  // Between the two lives another may have granted something.
  CHECK_FALSE(again.replica.take_over(start + times.guard - std::chrono::nanoseconds{1}));
  CHECK(again.replica.take_over(start + times.guard));
}

TEST_CASE("with fewer members than the minimum nothing is committed") {
  copy one{a};
  one.lead({a}, 2);
  one.append("x");
  one.flush();
  CHECK(one.replica.committed() == 0);
  CHECK(one.replica.role() == replica_role::recovering);
  CHECK_FALSE(one.replica.may_answer(start));
}

TEST_CASE("a set that is being changed counts as both until the store's answer is known") {
  copy one{a};
  one.lead({a});
  one.replica.change_in_flight({a, b}, one.effects);
  one.append("x");
  one.flush();
  CHECK(one.replica.committed() == 0);
  one.know(record_of(3, 1, a, {a}));  // somebody else's change won
  CHECK(one.replica.committed() == 1);
}

// Goal: whatever happens, copies agree on what was committed, nothing that was acknowledged is
// lost, and nobody may read what is no longer true. Method: replica_cluster.h.
TEST_CASE("nothing acknowledged is lost and nothing stale is read, whatever happens") {
  std::uint64_t acknowledged = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t reads = 0;
  std::uint64_t cuts = 0;
  const auto* wanted = std::getenv("MILLRACE_SEEDS");
  const auto seeds = wanted == nullptr ? 300U : static_cast<unsigned>(std::atoi(wanted));
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    replica_cluster cluster{seed, 2 + seed % 3};
    std::string violated;
    try {
      for (int count = 0; count < 3000; ++count) {
        cluster.step();
      }
      const auto before = cluster.acknowledged();
      cluster.heal();
      if (cluster.acknowledged() <= before) {
        violated = "no progress although all is well again\n" + cluster.describe();
      }
    } catch (const violation& found) {
      violated = found.what;
    }
    REQUIRE(violated == "");
    acknowledged += cluster.acknowledged();
    takeovers += cluster.takeovers();
    reads += cluster.reads();
    cuts += cluster.cuts();
  }
  MESSAGE(seeds << " clusters: " << acknowledged << " entries acknowledged, " << takeovers
                << " takeovers, " << reads << " moments to read, " << cuts << " entries cut");
  CHECK(acknowledged > 0);
  CHECK(takeovers > seeds);
  CHECK(reads > 0);
  CHECK(cuts > 0);
}

}  // namespace
}  // namespace millrace::runtime
