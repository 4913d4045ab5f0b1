// SPDX-License-Identifier: MIT
// Replica settings: how long the copies of a partition wait for what.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/runtime/clock.h"

namespace millrace::runtime {

struct replica_settings {
  std::string silo;  ///< Where the copy lies.
  std::uint64_t life =
      0;  ///< Random bits of this process: what its changes of records are known by.
  std::size_t copies = 1;  ///< As many as there should be of the partition.

  /// How long a lease to answer reads holds; counts from when it was asked for.
  duration lease = std::chrono::milliseconds{1500};
  /// How long who granted one stays away from the primacy: longer than `lease`, by more than the
  /// rates of two clocks may differ, and than `eject_after`, so that a primary lets go of a copy
  /// before that copy takes over.
  duration guard = std::chrono::milliseconds{2000};
  duration beacon_interval = std::chrono::milliseconds{200};
  /// A copy that has acknowledged nothing for so long is taken out of the set.
  duration eject_after = std::chrono::milliseconds{1200};
  /// A primary that needs a change of its record for so long, and does not get it, stops.
  duration abdicate_after = std::chrono::seconds{5};
  /// How old the number in the record that is known to be committed gets.
  duration floor_interval = std::chrono::seconds{30};
  /// How old the record gets that a copy knows: news of it may be lost.
  duration read_interval = std::chrono::seconds{30};
  /// A partition that has too few copies for so long wants another one elsewhere; while it can be
  /// written, later by `await_for`, in which a silo that died may be back.
  duration replace_after = std::chrono::minutes{5};
  duration await_for{};
  /// What of the committed log is kept for a copy that has been sent rows and does not keep up, or
  /// as much as these rows had, if that is more: then it is sent them anew. As much as may wait for
  /// the others before clients are held back (`storage_options::backlog_bytes_max`).
  std::size_t learner_log_bytes_max = std::size_t{64} << 20U;
  /// After that long without an answer a request, to the store or to a copy, is made once more.
  duration retry_interval = std::chrono::milliseconds{500};
};

}  // namespace millrace::runtime
