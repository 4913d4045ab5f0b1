// SPDX-License-Identifier: MIT
// Replica effects: what a copy of a partition wants done after an input.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "partition/replica_message.h"

namespace millrace::runtime {

/// Why a copy may not be used any more.
enum class damage : std::uint8_t {
  lost_committed,  ///< Its log ends before what is known to be committed: an old disk came back.
  differs,         ///< It has committed something else than the others.
  given_up,        ///< Its partition went on without what it has, by an operator's decision.
  discarded,       ///< Its primary found that its rows are others.
};

/// What is to be done after an input. Those of several inputs may gather in one object, in which
/// case they are carried out together.
struct replica_effects {
  struct envelope {
    placed_copy to;
    replica_message message;
  };
  /// Entries of the log that are to be sent to a copy as `prepare_message`.
  struct shipment {
    placed_copy to;
    std::uint64_t first_seq = 0;
    std::uint64_t last_seq = 0;
  };
  /// Rows to be read for a copy; `replica::range_read` sends them.
  struct range_read {
    placed_copy to;
    log_tail base;
    std::string first;
  };

  std::vector<envelope> messages;
  std::vector<shipment> shipments;
  std::vector<range_read> ranges;  ///< To be answered, or not: who needs them asks again.

  // For the disk, in this order.
  bool clear_rows = false;        ///< All rows of the partition go.
  std::vector<std::string> rows;  ///< Rows of a snapshot, before anything below.
  /// Positions of journal entries to delete, before the entries that follow are written.
  std::vector<std::uint64_t> erased;
  /// Encoded entries to write, in order; `place` says where each lies.
  std::vector<std::string> entries;
  bool persist = false;  ///< `state` has changed; it belongs on disk with the entries.

  // For the coordination store.
  /// To put in place of the record known, by compare-and-set. What is learnt next tells the
  /// outcome; nothing needs to be said of one that failed, or that nobody knows the end of.
  std::optional<partition_record> change;
  bool read_record = false;  ///< As it is now, not as it was.

  /// The digest of all rows is wanted as they are when this entry is the last in them.
  std::optional<std::uint64_t> digest_at;

  bool wants_barrier = false;  ///< The new primary must `append` an empty entry now.
  bool lost_primacy = false;   ///< All in-memory state of the partition is to be thrown away.
  bool wants_copy = false;     ///< There are too few: another silo should make one.
  /// What it has is not to be used, and stays until another one leads: an operator should know.
  std::optional<damage> set_aside;
  std::optional<damage> quarantined;

  void clear();
};

}  // namespace millrace::runtime
