// SPDX-License-Identifier: MIT
// A cluster of copies of one partition in one thread, driven by a seed: messages are lost, doubled
// and reordered, copies crash and lose what they had not written, the store answers late or not at
// all. It checks what replication promises at every step.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/runtime/clock.h"
#include "partition/replica.h"

namespace millrace::runtime::testing {

/// What a violated promise is told with.
struct violation {
  std::string what;
};

class replica_cluster {
public:
  replica_cluster(std::uint64_t seed, std::size_t copies) : random_(seed) {
    for (std::uint64_t number = 1; number <= copies; ++number) {
      auto& added = nodes_.emplace_back();
      added.disk.state.id = {0, number};
      record_.in_sync.push_back({0, number});
    }
    record_.version = 1;
    record_.in_sync_min = copies > 3 ? 2 : 1;
    for (auto& each : nodes_) {
      start(each);
    }
  }

  /// One random thing happens.
  void step() {
    auto& one = nodes_[pick(nodes_.size())];
    now_ += std::chrono::milliseconds{pick(4) == 0 ? 20 + pick(200) : pick(10)};
    switch (pick(16)) {
      case 0:
        pick(12) == 0 ? crash(one) : flush(one);
        break;
      case 1:
        if (one.live == nullptr) {
          start(one);
        }
        break;
      case 2:
        take_over(one);
        break;
      case 3:
        change_set(one);
        break;
      case 4:
        change_record();
        if (one.live != nullptr) {
          read_record(one);
        }
        break;
      case 5:
      case 6:
        if (one.live != nullptr) {
          one.live->send_beacons(now_, one.effects);
          carry_out(one);
        }
        break;
      case 7:
        append(one);
        break;
      case 8:
      case 9:
        flush(one);
        break;
      default:
        deliver();
    }
    check_reads();
  }

  /// No more faults: every copy comes back, and everything is written and delivered.
  void heal() {
    faults_ = false;
    for (auto& each : nodes_) {
      if (each.live == nullptr) {
        start(each);
      }
    }
    for (int round = 0; round < 4000; ++round) {
      step();
      while (!network_.empty() && pick(20) != 0) {
        deliver();
      }
    }
  }

  /// What a stuck cluster looks like.
  [[nodiscard]] std::string describe() const {
    auto text = "record version " + std::to_string(record_.version) + " epoch " +
                std::to_string(record_.epoch) + " primary " + std::to_string(record_.primary.low) +
                " floor " + std::to_string(record_.commit_floor) + " set";
    for (const auto& each : record_.in_sync) {
      text += " " + std::to_string(each.low);
    }
    for (const auto& each : nodes_) {
      text += "\ncopy " + std::to_string(each.disk.state.id.low);
      if (each.live != nullptr) {
        text += " role " + std::to_string(static_cast<int>(each.live->role())) + " promised " +
                std::to_string(each.live->state().promised_epoch) + " tail " +
                std::to_string(each.live->log().tail().seq) + " committed " +
                std::to_string(each.live->committed()) + " knows epoch " +
                std::to_string(each.live->record().epoch) + " set of " +
                std::to_string(each.live->record().in_sync.size());
      }
    }
    return text;
  }

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] std::uint64_t takeovers() const { return takeovers_; }
  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  [[nodiscard]] std::uint64_t cuts() const { return cuts_; }

private:
  struct disk_files {
    copy_state state;
    std::map<std::uint64_t, std::string> entries;  // by position
  };
  struct node {
    disk_files disk;
    std::unique_ptr<replica> live;  // null: it is down
    replica_effects effects;        // not yet carried out: entries, erased, state
    std::uint64_t next_position = 1;
    bool has_appended = false;  // since the last flush
    std::vector<std::pair<std::uint64_t, std::string>> appended;
  };
  struct parcel {
    copy_id to;
    replica_message message;
  };

  std::uint64_t pick(std::uint64_t count) { return random_.next() % count; }

  node* find(const copy_id& id) {
    auto& found = nodes_[id.low - 1];
    return found.live == nullptr ? nullptr : &found;
  }

  void start(node& one) {
    partition_log log{partition_id{0}};
    one.next_position = 1;
    for (const auto& [position, bytes] : one.disk.entries) {
      const auto entry = decode_entry(bytes);
      if (!entry || log.fit(*entry) != entry_fit::next) {
        throw violation{"a log that does not continue its chain was written"};
      }
      log.take(*entry, position);
      one.next_position = position + 1;
    }
    one.live = std::make_unique<replica>(one.disk.state, std::move(log), lease_times{}, now_);
    one.effects.clear();
    one.appended.clear();
    read_record(one);
  }

  void crash(node& one) {
    if (faults_) {
      checked_.erase(one.live.get());
      one.live.reset();
    }
  }

  void read_record(node& one) {
    one.live->learn(record_, one.effects);
    carry_out(one);
  }

  // Messages leave at once, entries and state with the next flush.
  void carry_out(node& one) {
    if (one.effects.is_damaged || !one.effects.damaged.empty()) {
      throw violation{"a copy has applied what the others have not"};
    }
    for (auto& each : one.effects.messages) {
      send(each.to, std::move(each.message));
    }
    one.effects.messages.clear();
    ship(one);
    one.effects.lost_primacy = false;
    if (std::exchange(one.effects.wants_barrier, false)) {
      append_to(one, {});
    }
    check_committed(*one.live);
  }

  void ship(node& one) {
    for (const auto& each : std::exchange(one.effects.shipments, {})) {
      for (auto seq = each.first_seq; seq <= each.last_seq; ++seq) {
        prepare_message message;
        message.from = one.disk.state.id;
        message.epoch = one.live->record().epoch;
        message.committed = one.live->committed();
        message.entry = bytes_at(one, one.live->log().position_of(seq));
        send(each.to, message);
      }
    }
  }

  std::string bytes_at(node& one, std::uint64_t position) {
    for (const auto& [at, bytes] : one.appended) {
      if (at == position) {
        return bytes;
      }
    }
    return one.disk.entries.at(position);
  }

  void append(node& one) {
    if (one.live != nullptr && one.live->role() == replica_role::primary) {
      append_to(one, std::to_string(random_.next()));
      carry_out(one);
    }
  }

  void append_to(node& one, const std::string& ops) {
    write(one);
    std::string bytes;
    const auto position = one.next_position++;
    one.appended.emplace_back(position, std::string{});
    replica_effects sent;
    one.live->append(ops, position, bytes, sent);
    one.appended.back().second = bytes;
    one.effects.persist = one.effects.persist || sent.persist;
    one.effects.shipments = std::move(sent.shipments);
    ship(one);
  }

  // What a flush writes; nothing is reported yet.
  void write(node& one) {
    for (const auto position : one.effects.erased) {
      if (one.disk.entries.erase(position) == 0) {
        throw violation{"an entry was erased that had not been written"};
      }
      ++cuts_;
    }
    one.live->place(one.next_position, one.effects.entries.size());
    for (auto& each : one.effects.entries) {
      one.disk.entries[one.next_position++] = std::move(each);
    }
    one.effects.entries.clear();
    one.effects.erased.clear();
  }

  void flush(node& one) {
    if (one.live == nullptr) {
      return;
    }
    write(one);
    for (auto& [position, bytes] : one.appended) {
      one.disk.entries[position] = std::move(bytes);
    }
    one.appended.clear();
    one.disk.state = one.live->state();
    one.effects.persist = false;
    one.live->durable(one.effects);
    carry_out(one);
  }

  void send(const copy_id& to, replica_message message) {
    if (faults_ && pick(10) == 0) {
      return;
    }
    if (faults_ && pick(10) == 0) {
      network_.push_back({to, message});
    }
    network_.push_back({to, std::move(message)});
  }

  void deliver() {
    if (network_.empty()) {
      return;
    }
    const auto index = faults_ ? pick(std::min<std::uint64_t>(network_.size(), 8)) : 0;
    const auto one = std::move(network_[index]);
    network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(index));
    auto* const to = find(one.to);
    if (to == nullptr) {
      return;
    }
    if (!to->appended.empty()) {
      flush(*to);
    }
    to->live->receive(one.message, now_, to->effects);
    carry_out(*to);
  }

  // A compare-and-set. It may be lost, or happen later, or happen without the copy being told.
  void compare_and_set(node& one, const partition_record& wanted) {
    if (faults_ && pick(4) == 0) {
      return;
    }
    late_changes_.push_back(wanted);
    if (!faults_ || pick(2) == 0) {
      change_record();
      if (!faults_ || pick(3) != 0) {
        read_record(one);
      }
    }
  }

  void change_record() {
    if (late_changes_.empty()) {
      return;
    }
    const auto index = pick(late_changes_.size());
    const auto wanted = late_changes_[index];
    late_changes_.erase(late_changes_.begin() + static_cast<std::ptrdiff_t>(index));
    if (wanted.version == record_.version) {
      takeovers_ += wanted.epoch != record_.epoch ? 1 : 0;
      record_ = wanted;
      ++record_.version;
    }
  }

  void take_over(node& one) {
    if (one.live == nullptr) {
      return;
    }
    const auto& known = one.live->record();
    auto* const old = known.epoch == 0 ? nullptr : find(known.primary);
    if (old != nullptr && old->live->role() != replica_role::backup && pick(4) != 0) {
      return;  // nobody would suspect it
    }
    if (const auto wanted = one.live->take_over(now_)) {
      compare_and_set(one, *wanted);
    }
  }

  // A primary lets go of a backup, or takes one in that has everything.
  void change_set(node& one) {
    if (one.live == nullptr || one.live->role() == replica_role::backup || pick(4) != 0) {
      return;
    }
    auto wanted = one.live->record();
    wanted.commit_floor = one.live->committed();
    const auto& other = nodes_[pick(nodes_.size())].disk.state.id;
    const auto at = std::find(wanted.in_sync.begin(), wanted.in_sync.end(), other);
    const bool grows = at == wanted.in_sync.end();
    if (other == one.disk.state.id || (!grows && !faults_)) {
      return;
    }
    if (grows) {
      wanted.in_sync.push_back(other);
    } else {
      wanted.in_sync.erase(at);
    }
    one.live->change_in_flight(wanted.in_sync, one.effects);
    if (!grows || has_all(one, other)) {  // until it has, it only counts
      compare_and_set(one, wanted);
    }
  }

  // By tail alone: chains that end alike are alike.
  bool has_all(const node& primary, const copy_id& other) {
    const auto& entries = nodes_[other.low - 1].disk.entries;
    return !entries.empty() &&
           decode_entry(entries.rbegin()->second)->tail() == primary.live->log().tail();
  }

  void check_committed(const replica& one) {
    auto& seen = checked_[&one];
    for (auto seq = std::exchange(seen, one.committed()) + 1; seq <= one.committed(); ++seq) {
      const auto [at, fresh] = committed_.try_emplace(seq, one.log().at(seq));
      if (!fresh && at->second != one.log().at(seq)) {
        throw violation{"two copies committed different entries under number " +
                        std::to_string(seq)};
      }
    }
    if (one.role() == replica_role::primary) {
      acknowledged_ = std::max(acknowledged_, one.committed());
    }
  }

  // Whoever may answer a read has everything that anybody was told.
  void check_reads() {
    for (const auto& each : nodes_) {
      if (each.live != nullptr && each.live->may_answer(now_)) {
        ++reads_;
        if (each.live->committed() < acknowledged_) {
          throw violation{"copy " + std::to_string(each.disk.state.id.low) +
                          " may read a stale value\n" + describe()};
        }
      }
    }
  }

  rng random_;
  bool faults_ = true;
  steady_time now_{std::chrono::hours{1}};
  std::deque<node> nodes_;
  partition_record record_;
  std::vector<partition_record> late_changes_;
  std::deque<parcel> network_;
  std::map<std::uint64_t, log_tail> committed_;
  std::map<const replica*, std::uint64_t> checked_;  // how far each copy was compared with that
  std::uint64_t acknowledged_ = 0;
  std::uint64_t takeovers_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t cuts_ = 0;
};

}  // namespace millrace::runtime::testing
