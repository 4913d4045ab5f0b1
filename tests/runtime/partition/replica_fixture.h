// SPDX-License-Identifier: MIT
// Copies of one partition for tests that drive them by hand.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>

#include "partition/replica.h"

namespace millrace::runtime::testing {

constexpr auto p0 = partition_id{0};
constexpr steady_time start{std::chrono::hours{1}};
inline const replica_settings times;
constexpr duration instant = std::chrono::nanoseconds{1};
inline const placed_copy a{{0, 1}, "sa"};
inline const placed_copy b{{0, 2}, "sb"};
inline const placed_copy c{{0, 3}, "sc"};

constexpr steady_time after(std::int64_t milliseconds) {
  return start + std::chrono::milliseconds{milliseconds};
}

inline replica_settings settings_of(const placed_copy& copy, std::size_t copies) {
  replica_settings settings;
  settings.silo = copy.silo;
  settings.copies = copies;
  settings.life = copy.id.low << 32U;
  return settings;
}

inline partition_record record_of(std::uint64_t version, std::uint64_t epoch,
                                  const placed_copy& primary, std::vector<placed_copy> in_sync,
                                  std::size_t in_sync_min = 1) {
  partition_record record;
  record.version = version;
  record.epoch = epoch;
  record.primary = primary.id;
  record.in_sync = std::move(in_sync);
  record.in_sync_min = in_sync_min;
  return record;
}

/// A copy with a disk that writes at once when told.
struct copy {
  explicit copy(const placed_copy& place, partition_log log = partition_log{p0},
                std::size_t copies = 3)
      : copy(place, std::move(log), settings_of(place, copies)) {}
  copy(const placed_copy& place, partition_log log, const replica_settings& settings)
      : self(place), replica({place.id, 0, 0, {}}, std::move(log), settings, start) {}

  void know(const partition_record& record, steady_time now = start) {
    replica.learn(record, now, effects);
  }

  /// Becomes primary with that set, and its promise is on the disk.
  void lead(std::vector<placed_copy> in_sync, std::size_t in_sync_min = 1) {
    know(record_of(replica.record().version + 1, replica.record().epoch, self, std::move(in_sync),
                   in_sync_min));
    auto won = replica.stand(start);
    REQUIRE(won);
    win(*won);
  }

  /// The store takes the change.
  void win(partition_record change, steady_time now = start) {
    ++change.version;
    know(change, now);
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

  void receive(const replica_message& message, steady_time now = start) {
    replica.receive(message, now, effects);
  }

  /// The change of the record that it asks for.
  std::optional<partition_record> tick(steady_time now) {
    replica.tick(now, effects);
    effects.read_record = false;
    return std::exchange(effects.change, {});
  }

  /// The first message of that kind, and none is left.
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

  /// What it says to a beacon of `primary`.
  template <class Message>
  std::optional<Message> answer(copy& primary, steady_time now) {
    primary.effects.messages.clear();
    primary.replica.send_beacons(now, primary.effects);
    const auto beacon = primary.sent<beacon_message>();
    REQUIRE(beacon);
    receive(*beacon, now);
    flush();
    return sent<Message>();
  }

  placed_copy self;
  class replica replica;
  replica_effects effects;
  std::uint64_t position = 0;
};

inline prepare_message prepare_of(const placed_copy& from, std::uint64_t epoch, std::string entry,
                                  std::uint64_t committed = 0) {
  prepare_message message;
  message.from = from;
  message.epoch = epoch;
  message.committed = committed;
  message.entry = std::move(entry);
  return message;
}

/// A primary and its backup, whose barrier is committed.
struct pair {
  explicit pair(std::size_t in_sync_min = 1, std::size_t copies = 2)
      : primary(a, partition_log{p0}, copies), backup(b, partition_log{p0}, copies) {
    primary.lead({a, b}, in_sync_min);
    backup.know(primary.replica.record());
    primary.flush();
    commit({});
    REQUIRE(primary.replica.role() == replica_role::primary);
  }

  std::string send(std::string_view ops) {
    auto entry = primary.append(ops);
    backup.receive(
        prepare_of(a, primary.replica.record().epoch, entry, primary.replica.committed()));
    return entry;
  }

  void commit(std::string_view ops, steady_time now = start) {
    send(ops);
    primary.flush();
    backup.flush();
    const auto prepared = backup.sent<prepared_message>();
    REQUIRE(prepared);
    primary.receive(*prepared, now);
    primary.effects.clear();
  }

  copy primary;
  copy backup;
};

using set = std::vector<placed_copy>;

/// Time passes for the primary in steps of a tick; its last wish is given.
inline std::optional<partition_record> pass(copy& one, std::int64_t from, std::int64_t until) {
  std::optional<partition_record> wanted;
  for (auto at = from; at <= until; at += 50) {
    if (auto change = one.tick(after(at))) {
      wanted = change;
    }
  }
  return wanted;
}

/// The primary of `both` has told the store that it is active.
inline void settle(pair& both) {
  const auto active = both.primary.tick(start);
  REQUIRE(active);
  CHECK(active->state == partition_state::active);
  both.primary.win(*active);
  both.backup.know(both.primary.replica.record());
}

/// A copy that is not in the set, and the primary alone with some entries.
struct learning {
  explicit learning(std::size_t entries = 3, std::size_t log_bytes_max = SIZE_MAX)
      : primary(a, partition_log{p0}, bounded(log_bytes_max)), learner(b, partition_log{p0}, 2) {
    primary.lead({a});
    for (std::size_t count = 0; count < entries; ++count) {
      encoded.push_back(primary.append("x"));
    }
    primary.flush();
    primary.effects.clear();
    const auto active = primary.tick(start);
    REQUIRE(active);
    primary.win(*active);
    learner.know(primary.replica.record());
    learner.tick(after(500));
    told = *learner.sent<behind_message>();
    primary.receive(told, start);
    primary.flush();
  }

  /// Whatever is to be sent arrives, on both sides, and is written.
  void exchange(std::int64_t at) {
    for (int round = 0; round < 8; ++round) {
      for (const auto& each : std::exchange(primary.effects.shipments, {})) {
        for (auto seq = each.first_seq; seq <= each.last_seq; ++seq) {
          learner.receive(prepare_of(a, primary.replica.record().epoch, encoded[seq - 1],
                                     primary.replica.committed()),
                          after(at));
        }
      }
      for (const auto& each : std::exchange(primary.effects.messages, {})) {
        learner.receive(each.message, after(at));
      }
      learner.flush();
      for (const auto& each : std::exchange(learner.effects.messages, {})) {
        primary.receive(each.message, after(at));
      }
      primary.flush();
    }
  }

  /// Its log has caught up, and its rows have that digest, as the primary's have.
  void compare(std::uint64_t digest) {
    exchange(50);
    primary.tick(after(100));
    exchange(100);
    const auto seq = primary.replica.committed();
    primary.replica.digested(seq, digest, primary.effects);
    learner.replica.digested(seq, digest, learner.effects);
    exchange(120);
  }

  /// What the learner needs has left the primary's log, and it has heard that.
  void begin_snapshot() {
    primary.effects.clear();
    learner.answer<behind_message>(primary, after(5));
    primary.receive(told, after(10));
    CHECK(primary.effects.shipments.empty());
    for (const auto& each : std::exchange(primary.effects.messages, {})) {
      learner.receive(each.message, after(10));
    }
    learner.flush();
  }

  static replica_settings bounded(std::size_t log_bytes_max) {
    auto settings = settings_of(a, 2);
    settings.learner_log_bytes_max = log_bytes_max;
    return settings;
  }

  copy primary;
  copy learner;
  std::vector<std::string> encoded;
  behind_message told;
};

}  // namespace millrace::runtime::testing
