// SPDX-License-Identifier: MIT
// Lease book: until when a copy has to stay away from the primacy.
//
// A lease that it granted lets a primary answer reads without asking; nobody else may lead as long
// as one can hold. Of leases that an earlier life granted only the latest possible end is known.
#pragma once

#include <optional>

#include "partition/copy_state.h"
#include "partition/replica_settings.h"

namespace millrace::runtime {

/// Pure. Cost: O(1) a call. Time: `now` is this machine's and does not go backwards.
class lease_book {
public:
  lease_book(duration guard, steady_time now);

  /// A beacon was answered with a lease, or could have been.
  void granted(steady_time now);
  /// For so long, others may stand first.
  void stay_away(steady_time until) noexcept { granted_until_ = until; }

  /// The process that led `epoch` as that copy answers nothing any more: it is proven to be dead,
  /// or said so itself. Of no use for any other epoch.
  void primary_gone(const copy_id& primary, std::uint64_t epoch);

  /// Whether no lease that this copy gave, to the primary of that record, can hold any more.
  /// `knows_earlier_lives`: they can have granted none.
  [[nodiscard]] bool is_over(const copy_id& primary, std::uint64_t epoch, bool knows_earlier_lives,
                             steady_time now) const;

private:
  struct gone {
    copy_id primary;
    std::uint64_t epoch;
  };
  duration guard_;
  steady_time granted_until_{};     // this life's
  steady_time life_granted_until_;  // earlier lives'
  std::optional<gone> gone_;
};

}  // namespace millrace::runtime
