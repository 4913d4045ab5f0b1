// SPDX-License-Identifier: MIT
// Snapshot intake: the rows of a partition as they come from its primary, range by range.
//
// The ranges are read one after the other while the primary goes on, so the later ones hold changes
// that the earlier lack. The log from `base` on, which is replayed over all of them, makes them
// one: its operations are absolute. No range is taken that was not asked for.
#pragma once

#include <optional>
#include <string>

#include "partition/replica_message.h"

namespace millrace::runtime {

/// Pure. Cost: O(1) a call.
class snapshot_intake {
public:
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  /// From which entry on the log goes on, once a range is there.
  [[nodiscard]] const log_tail& base() const noexcept { return base_; }
  /// The first key that is missing.
  [[nodiscard]] const std::string& next() const noexcept { return next_; }

  void begin();
  /// Whether it is the range that is missing; then it counts as taken, and the last one ends it.
  [[nodiscard]] bool take(const range_message& range);
  void end() noexcept { open_ = false; }

private:
  bool open_ = false;
  log_tail base_;
  std::string next_;
};

}  // namespace millrace::runtime
