// SPDX-License-Identifier: MIT
// Placement: on which silos the copies of a partition should be.
//
// Each silo works it out by itself from who is in, and all come to the same. The silos are ranked
// for each partition by a hash of both (rendezvous hashing: Thaler and Ravishankar, IEEE/ACM
// Transactions on Networking 6, 1998): when one comes or goes, only what it has, or had, moves.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/ids.h"
#include "partition/partition_record.h"

namespace millrace::runtime {

/// A silo that may have copies.
struct candidate {
  std::string silo;
  std::string zone;  ///< Empty: none is named.
};

/// The silos as the partition prefers them, the most preferred first. Requires: different names.
/// The result does not depend on their order. Where each names its zone, as many of the first ones
/// as there are zones are of different ones, and so on: the best of each zone, then the second.
[[nodiscard]] std::vector<std::string> ranked_for(partition_id partition,
                                                  std::vector<candidate> silos);

/// Whether a copy on that silo is in the set.
[[nodiscard]] bool is_in_set(std::string_view silo, const partition_record& record);

/// Whether a silo should have a copy: it is among the first `copies`, or in the set.
[[nodiscard]] bool should_have_copy(std::string_view silo, const std::vector<std::string>& ranked,
                                    std::size_t copies, const partition_record& record);

/// Who should lead: the first in the ranking that is in the set; empty when none is.
[[nodiscard]] std::string_view preferred_primary(const std::vector<std::string>& ranked,
                                                 const partition_record& record);

/// Whose copy should move: the least preferred silo of those in the set that are not among the
/// first `copies`. Empty while no other silo is to have one instead, while copies are missing, and
/// where it is the primary's, who has to hand over first. Of a silo that is not in the ranking it
/// is never the turn: it is on its way out.
[[nodiscard]] std::string_view to_move_off(const std::vector<std::string>& ranked,
                                           std::size_t copies, const partition_record& record);

/// Where the record's primary lies; empty when there is none.
[[nodiscard]] std::string_view primary_of(const partition_record& record) noexcept;

}  // namespace millrace::runtime
