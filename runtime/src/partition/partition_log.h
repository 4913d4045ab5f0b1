// SPDX-License-Identifier: MIT
// Partition log: the order of every partition's entries, apart from where they are stored.
//
// The journal is a dumb list of entries of all partitions. This index knows, for each partition,
// the tail of its chain and the journal positions of the entries that are still there. It gives
// the next entry its place in the chain, takes back what could not be written, and checks the
// chain again when the journal is read at start. Replication of partitions belongs here.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"
#include "partition/journal_entry.h"

namespace millrace::runtime {

/// The tail of one partition, as the checkpoint stores it.
struct partition_tail {
  partition_id partition{};
  log_tail tail;
};

/// The chains of one silo's partitions.
///
/// Pure: no I/O, no lock. Threading: one thread at a time.
/// Cost: O(1) a call, 8 bytes for each entry that is still in the journal.
class partition_log {
public:
  explicit partition_log(std::uint16_t partition_count);

  [[nodiscard]] std::uint16_t partition_count() const noexcept {
    return static_cast<std::uint16_t>(chains_.size());
  }

  [[nodiscard]] log_tail tail_of(partition_id partition) const;

  /// Journal positions of the partition's entries, oldest first, without gaps in their `seq`.
  [[nodiscard]] const std::deque<std::uint64_t>& positions_of(partition_id partition) const;

  /// Chains the next entry of `partition` and appends its encoding to `out`. It is provisional
  /// until `keep`.
  void append(partition_id partition, std::uint64_t epoch, std::uint64_t position,
              std::string_view ops, std::string& out);

  /// The provisional entries are on disk.
  void keep();

  /// The provisional entries were not written: every chain is as it was after the last `keep`.
  void undo();

  /// The tails that changed since the last call.
  [[nodiscard]] std::vector<partition_tail> take_changed_tails();

  /// Entries below `position` have left the journal.
  void trim(std::uint64_t position);

  /// Start: the tail that the checkpoint holds for a partition. Errors: `storage_failed` when there
  /// is no such partition.
  result<void> restore_tail(const partition_tail& stored);

  /// Start: takes the next entry found in the journal; `applied` is the position up to which the
  /// checkpoint holds the journal's effects, and to which its tails belong.
  ///
  /// Errors: `storage_failed` when the entry does not continue its chain.
  result<void> recover(const journal_entry& entry, std::uint64_t position, std::uint64_t applied);

  /// Start: all entries were recovered. Errors: `storage_failed` when a chain ends before the tail
  /// that the checkpoint holds.
  result<void> finish_recovery();

private:
  struct chain {
    log_tail tail;
    log_tail stored;     // the tail in the checkpoint
    log_tail recovered;  // the last entry found at or below `applied`
    std::deque<std::uint64_t> positions;
    bool changed = false;
  };

  chain& at(partition_id partition);

  std::vector<chain> chains_;
  std::vector<std::pair<partition_id, log_tail>> provisional_;  // the tails before each append
  std::vector<partition_id> changed_;
};

}  // namespace millrace::runtime
