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

/// Pure. Cost: O(copies on the silo) a call. Time: `now` does not go backwards.
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

  /// What is on its way for longer than `patience` is taken for lost.
  explicit catch_up_queue(duration patience) noexcept : patience_(patience) {}

  /// The copy lacks these entries. What is on its way of them is not sent again; what was to be
  /// sent to it otherwise is not sent any more.
  void add_entries(const place& to, std::uint64_t first_seq, std::uint64_t last_seq,
                   steady_time now);
  /// The copy asks for rows, and so has those before.
  void add_rows(const place& to, const replica_effects::range_read& rows, steady_time now);
  /// Whether something for the copy waits.
  [[nodiscard]] bool holds(const place& to) const noexcept;
  /// Or is on its way.
  [[nodiscard]] bool is_busy_with(const place& to) const noexcept;

  /// The next turn, unless too much is on its way. Whoever has sent some of it says so, and adds
  /// the rest again.
  [[nodiscard]] std::optional<turn> next(steady_time now);
  /// Entries up to `last_seq`, or the rows, of a turn were sent.
  void sent(const turn& what, std::uint64_t last_seq, std::size_t bytes, steady_time now);
  /// The copy has the entries up to there on its disk.
  void acknowledged(const place& from, std::uint64_t seq);

private:
  struct flight {
    turn what;
    std::size_t bytes = 0;
    steady_time since{};
  };
  [[nodiscard]] turn& waiting_for(const place& to);
  void forget_lost(steady_time now);

  duration patience_;
  std::deque<turn> waiting_;
  std::vector<flight> flying_;
};

}  // namespace millrace::runtime
