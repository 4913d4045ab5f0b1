// SPDX-License-Identifier: MIT
#include "partition/lease_book.h"

#include "partition/planted_bug.h"

namespace millrace::runtime {

lease_book::lease_book(duration guard, steady_time now)
    : guard_(guard),
      life_granted_until_(planted(bug::r3_no_wait_after_restart) ? now : now + guard) {}

void lease_book::granted(steady_time now) {
  granted_until_ = now + (planted(bug::r3_no_wait) ? guard_ / 4 : guard_);
}

void lease_book::primary_died(const copy_id& primary, std::uint64_t epoch) {
  if (!gone_ || gone_->primary != primary || gone_->epoch != epoch) {
    gone_ = gone{primary, epoch, false};
  }
}

void lease_book::primary_stopped(const copy_id& primary, std::uint64_t epoch) {
  gone_ = gone{primary, epoch, true};
}

// Whom the store made primary too late, in another life than stood for it, never led: it may have
// granted a lease to the one before, and so may this copy.
bool lease_book::is_over(const copy_id& primary, std::uint64_t epoch, bool has_led,
                         bool knows_earlier_lives, steady_time now) const {
  if (gone_ && gone_->primary == primary && gone_->epoch == epoch &&
      (gone_->has_led || has_led || planted(bug::r3_believes_any_proof))) {
    return true;
  }
  return now >= granted_until_ && (knows_earlier_lives || now >= life_granted_until_);
}

}  // namespace millrace::runtime
