// SPDX-License-Identifier: MIT
// Catch-up queue: what copies on one silo lack and is still to be sent, in one lane of the link.
//
// A silo that comes back lacks something of each of its partitions. All of it at once would fill
// the link, and the silo's memory, and whatever else is sent would wait behind it. So it waits
// here, as numbers, and so much of it is on its way at a time as the silo has not acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"
#include "partition/replica_effects.h"

namespace millrace::runtime {

/// On its way to one silo in one lane: what a link of 1 Gb/s carries in 34 ms, which is how long a
/// lease or a prepare waits behind it at most. A range of rows, or an entry, may be over it.
inline constexpr std::size_t catch_up_window_bytes = std::size_t{4} << 20U;

/// Pure. Cost: O(turns that wait, or are on their way) a call. Time: `now` does not go backwards.
class catch_up_queue {
public:
  /// A copy of one partition.
  struct place {
    partition_id partition{};
    placed_copy copy;
    friend bool operator==(const place&, const place&) = default;
  };
  /// What is to be sent next: rows, or entries of the log.
  struct turn {
    place to;
    std::uint64_t first_seq = 0;
    std::uint64_t last_seq = 0;
    std::optional<replica_effects::range_read> rows = {};
  };

  /// A link resends what it has lost, and keeps the order: what is on its way is taken for lost
  /// when nothing is heard of it, nor of what was sent before it, for as long as `patience`.
  explicit catch_up_queue(duration patience) noexcept : patience_(patience) {}

  /// The copy lacks these entries. What is on its way of them is not sent again. Requires: it is
  /// sent no rows.
  void add_entries(const place& to, std::uint64_t first_seq, std::uint64_t last_seq,
                   steady_time now);
  /// The copy asks for rows, and so has those before; it has no use for entries.
  void add_rows(const place& to, const replica_effects::range_read& rows, steady_time now);
  /// Whether something for the copy waits.
  [[nodiscard]] bool holds(const place& to) const noexcept;
  /// Or is on its way.
  [[nodiscard]] bool is_busy_with(const place& to) const noexcept;
  /// Whether rows are. It takes no entries then, and tells afterwards what it lacks.
  [[nodiscard]] bool has_rows_for(const place& to) const noexcept;

  /// The next turn, unless too much is on its way. Whoever has sent some of it says so, and adds
  /// the rest again.
  [[nodiscard]] std::optional<turn> next(steady_time now);
  /// It was sent. It has arrived once the copy acknowledges the entries up to `through`: the last
  /// that was sent, or the one from which the log goes on after the last range; `next_request` of
  /// a range before that.
  void sent(const turn& what, std::uint64_t through, std::size_t bytes, steady_time now);
  static constexpr std::uint64_t next_request = UINT64_MAX;

  /// The copy has the entries up to there on its disk.
  void acknowledged(const place& from, std::uint64_t seq, steady_time now);
  /// The copy has told what entries it lacks: it has all rows, or none that were sent it.
  void end_rows(const place& from, steady_time now);
  /// What waits for the copy, or for any of the partition, is not sent, and what is on its way is
  /// of no use.
  void forget(const place& whom, steady_time now);
  void forget(partition_id which, steady_time now);

private:
  struct flight {
    turn what;
    std::uint64_t through = 0;
    std::size_t bytes = 0;
    steady_time since{};  // it was sent, or the last one before it has arrived
  };
  [[nodiscard]] turn& waiting_for(const place& to);
  // Nothing of which `is_over` says so waits any more, or is on its way.
  template <class IsOver>
  void drop(steady_time now, IsOver is_over);
  template <class IsOver>
  void land(steady_time now, IsOver is_over);
  void forget_lost(steady_time now);

  duration patience_;
  std::deque<turn> waiting_;
  std::vector<flight> flying_;  // in the order in which they were sent
  std::size_t flying_bytes_ = 0;
};

}  // namespace millrace::runtime
