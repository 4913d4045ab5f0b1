// SPDX-License-Identifier: MIT
// Peer book: what a primary knows of the other copies of its partition.
//
// Those whose acknowledgement a commit waits for, those whose leave a read needs, and learners,
// which are neither yet.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "partition/partition_record.h"
#include "partition/replica_settings.h"

namespace millrace::runtime {

struct peer {
  placed_copy copy;
  bool counts = false;          // a commit waits for it
  bool may_lead = false;        // it could take over: a read needs its leave
  std::uint64_t prepared = 0;   // its disk has the entries up to here, told in this epoch
  std::uint64_t shipped = 0;    // sent to it
  steady_time heard_at{};       // the last answer
  steady_time confirmed_at{};   // when the newest beacon was sent that it has answered
  steady_time granted_until{};  // of the lease
  bool refused = false;         // it cannot write
  bool damaged = false;         // it has something else than this primary
  std::optional<steady_time> excused_until;  // it is late; until then a gap may have hidden why

  // Of learners.
  std::optional<std::uint64_t> required_from;  // commits wait for it; then it has to have this
  std::uint64_t snapshot_base = 0;             // the log from here on is kept for it; 0: no need
  std::size_t snapshot_bytes = 0;              // of the rows that it was sent since
  std::uint64_t kept_from = 0;                 // the log before was too much to keep for it
  bool verified = false;                       // its rows were found to be the same
  std::uint64_t comparison = 0;                // that of its rows, by number from 1; 0: none counts
  steady_time compared_at{};                   // when that began

  /// Whether the log is kept for it, and from which entry on it needs it.
  [[nodiscard]] bool pins_log() const noexcept { return snapshot_base != 0 && !may_lead; }
  [[nodiscard]] std::uint64_t needs_from() const noexcept {
    return std::max(snapshot_base, prepared);
  }

  /// What it has told of its content holds no more: a learner has to prove all of it anew.
  void start_over() noexcept;
};

/// Pure. Cost: O(copies) a call, unless said otherwise.
class peer_book {
public:
  [[nodiscard]] std::vector<peer>& all() noexcept { return peers_; }
  [[nodiscard]] const std::vector<peer>& all() const noexcept { return peers_; }
  [[nodiscard]] bool empty() const noexcept { return peers_.empty(); }
  void clear();

  [[nodiscard]] peer* find(const placed_copy& copy) noexcept;
  peer& add(const placed_copy& copy, std::uint64_t shipped, steady_time now);

  /// The last entry that every copy has that counts, one of which has everything up to `own`.
  [[nodiscard]] std::uint64_t everywhere(std::uint64_t own) const noexcept;

  /// Whether every copy that could take over was of this primary's epoch at some instant from
  /// `arrived` on, or grants a lease at `now`.
  [[nodiscard]] bool all_consent(steady_time arrived, steady_time now) const noexcept;

  /// Notes how long the log was at `now`; what is older than `age` goes. Cost: O(1), amortised.
  void note_tail(std::uint64_t seq, steady_time now, duration age);
  /// How long the log was at that instant, or before.
  [[nodiscard]] std::uint64_t tail_at(steady_time instant) const noexcept;

  /// Whether a copy has to go: it has not answered, or acknowledged, for that long.
  [[nodiscard]] bool is_overdue(const peer& one, steady_time now, duration limit) const noexcept;

  /// After a gap, in which this process did not run: what had come in time may not have been read
  /// yet. Who is late is excused until `until`, once: if it has nothing to show by then it was the
  /// copy, and not the gap. Without a gap only notes who is late no more.
  void excuse(bool had_gap, steady_time now, duration limit, steady_time until);

private:
  [[nodiscard]] bool is_late(const peer& one, steady_time now, duration limit) const noexcept;

  struct mark {
    steady_time at;
    std::uint64_t seq;
  };
  std::vector<peer> peers_;
  std::deque<mark> marks_;
};

/// How often copies left the set, and how long they have to stay out: one that flaps would make
/// every commit wait for it, again and again.
class flap_book {
public:
  void ejected(const placed_copy& copy, steady_time now);
  [[nodiscard]] bool may_join(const placed_copy& copy, steady_time now) const;

private:
  struct past {
    std::string silo;
    std::vector<steady_time> at;
  };
  std::vector<past> silos_;
};

}  // namespace millrace::runtime
