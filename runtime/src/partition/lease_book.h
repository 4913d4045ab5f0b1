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

  /// A process of that copy, which the record of that epoch names primary, is dead. Of no use for
  /// any other epoch.
  void primary_died(const copy_id& primary, std::uint64_t epoch);
  /// The process that led that epoch answers nothing any more, as it says itself.
  void primary_stopped(const copy_id& primary, std::uint64_t epoch);

  /// Whether no lease that this copy gave, to the primary of that record, can hold any more.
  /// `has_led`: a process of that copy has led that epoch; then no lease of an older one holds.
  /// `knows_earlier_lives`: they can have granted none.
  [[nodiscard]] bool is_over(const copy_id& primary, std::uint64_t epoch, bool has_led,
                             bool knows_earlier_lives, steady_time now) const;

private:
  struct gone {
    copy_id primary;
    std::uint64_t epoch;
    bool has_led;
  };
  duration guard_;
  steady_time granted_until_{};     // this life's
  steady_time life_granted_until_;  // earlier lives'
  std::optional<gone> gone_;
};

}  // namespace millrace::runtime
