// SPDX-License-Identifier: MIT
// In-sync set: who has to have an entry before it is committed, as far as this primary can know.
//
// A change of the record whose outcome is not known may have happened, or still happen. Until a
// newer version is known, everyone counts who is in the record or in any change asked for.
#pragma once

#include <optional>
#include <vector>

#include "partition/partition_record.h"

namespace millrace::runtime {

/// Pure. Cost: O(copies) a call.
class in_sync_set {
public:
  [[nodiscard]] const partition_record& record() const noexcept { return record_; }

  /// The record as it was read, or became. False when it is not newer than what is known: then it
  /// says nothing, not even that a change has failed.
  bool learn(const partition_record& record);

  /// A change of the record known is being asked for.
  void ask(const partition_record& change);
  /// The last one that was, as long as no newer record is known.
  [[nodiscard]] const std::optional<partition_record>& pending() const noexcept { return pending_; }
  /// Whoever asked is no primary any more.
  void forget_changes();

  /// Everyone who counts: the maximal set.
  [[nodiscard]] std::vector<placed_copy> members() const;
  [[nodiscard]] bool counts(const placed_copy& copy) const;

  /// Whether the set is large enough to commit. By what is known only: a change that makes it so
  /// may have failed, and then others are complete, by the record, who would miss the entry.
  [[nodiscard]] bool has_minimum() const noexcept;

private:
  partition_record record_;
  std::vector<placed_copy> asked_;  // in any change since the record
  std::optional<partition_record> pending_;
};

}  // namespace millrace::runtime
