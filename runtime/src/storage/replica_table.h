// SPDX-License-Identifier: MIT
// Replica table: the copies of partitions that this silo holds, and which of their entries may
// leave the journal they share.
//
// Each partition's entries go once its own checkpoint has them, so a partition that cannot commit
// keeps its own and nobody else's.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "partition/replica.h"
#include "storage/checkpoint.h"

namespace millrace::runtime {

/// Pure. Threading: one thread at a time.
class replica_table {
public:
  /// Requires: one copy for each partition, in order.
  explicit replica_table(std::vector<replica> copies);

  [[nodiscard]] std::uint16_t size() const noexcept {
    return static_cast<std::uint16_t>(copies_.size());
  }
  [[nodiscard]] replica& at(partition_id partition) {
    return copies_[static_cast<std::size_t>(partition)];
  }

  /// The entry at `position` is the partition's newest. Requires: positions come in order.
  void added(partition_id partition, std::uint64_t position);
  /// The entry at `position` was cut from its log and is being erased.
  void erased(std::uint64_t position);
  /// The entries from `position` on are none. Requires: they are their partitions' newest.
  void removed_from(std::uint64_t position);

  /// Entries of the partition up to `seq` are in the overlay, so a checkpoint of it moves the
  /// partition's tail.
  void applied(partition_id partition, std::uint64_t seq);
  /// The last entry of a partition that is applied.
  [[nodiscard]] std::uint64_t applied(partition_id partition) const {
    return counted_[static_cast<std::size_t>(partition)];
  }
  /// Another copy has taken the place of the partition's, or its rows have come from elsewhere:
  /// what its checkpoint has is applied, and nothing else.
  void replaced(partition_id partition);
  /// Up to where the partitions were applied that were since the last call.
  [[nodiscard]] std::vector<partition_tail> take_applied();

  /// The checkpoint has a partition up to there. False, and nothing, if that was another copy's.
  bool checkpointed(const partition_tail& reached);

  /// Entries that somebody still needed when `forget` came to them may go by now.
  void look_again(partition_id partition);

  /// Entries that are applied and in no checkpoint, of all partitions.
  [[nodiscard]] std::uint64_t lag() const noexcept { return lag_; }

  /// Whether there may be entries to forget.
  [[nodiscard]] bool may_forget() const noexcept { return next_ < reached_; }
  /// Takes entries that checkpoints have from the logs, oldest first, at most `limit`; calls
  /// `erase(position)` for each. Cost: O(limit), beside entries that cannot go and are passed over
  /// once.
  template <class Erase>
  void forget(std::size_t limit, Erase&& erase) {
    for (std::size_t count = 0; count < limit && next_ < reached_; ++next_) {
      if (may_go(next_)) {
        go(next_);
        erase(next_);
        ++count;
      }
    }
    drop_front();
  }

private:
  [[nodiscard]] bool may_go(std::uint64_t position);
  void go(std::uint64_t position);
  void drop_front();

  std::vector<replica> copies_;
  std::vector<std::uint64_t> applied_;        // by partition; 0: nothing since `take_applied`
  std::vector<partition_id> changed_;         // those that were not 0
  std::vector<std::uint64_t> counted_;        // by partition: in `lag_` up to here
  std::vector<std::uint64_t> in_checkpoint_;  // by partition: the last entry
  std::uint64_t lag_ = 0;

  std::deque<std::uint16_t> owners_;  // by position, from `first_` on
  std::uint64_t first_ = 0;
  std::uint64_t next_ = 0;     // positions below were looked at
  std::uint64_t reached_ = 0;  // positions from here on are in no checkpoint
};

}  // namespace millrace::runtime
