// SPDX-License-Identifier: MIT
// Session timer: when a session is to be renewed, and until when it holds for certain.
//
// Pure. A renewal counts from when it was sent, since the store may count from any later instant;
// three of them fit into a time to live, and one that failed is tried again sooner.
#pragma once

#include <algorithm>

#include "millrace/runtime/clock.h"

namespace millrace::runtime {

class session_timer {
public:
  /// The session began with a request that was sent at `sent_at`. Requires: ttl > 0.
  session_timer(duration ttl, steady_time sent_at)
      : ttl_(ttl), held_until_(sent_at + ttl), next_(sent_at + ttl / renewals_a_ttl) {}

  /// When the next renewal is to be sent.
  [[nodiscard]] steady_time next_renewal() const noexcept { return next_; }

  /// How long a renewal that is sent at `now` may take: there is time for another one before the
  /// session ends, or nothing to lose.
  [[nodiscard]] steady_time renewal_deadline(steady_time now) const noexcept {
    return now + ttl_ / renewals_a_ttl;
  }

  /// The store says that the renewal that was sent then has succeeded. Late answers may come in any
  /// order.
  void renewed(steady_time sent_at) noexcept {
    held_until_ = std::max(held_until_, sent_at + ttl_);
    next_ = std::max(next_, sent_at + ttl_ / renewals_a_ttl);
  }

  /// A renewal ended at `now` without an answer.
  void failed(steady_time now) noexcept { next_ = now + ttl_ / retries_a_ttl; }

  /// Until then the store keeps the session, whatever happens; afterwards only the store knows.
  [[nodiscard]] steady_time held_until() const noexcept { return held_until_; }

private:
  static constexpr int renewals_a_ttl = 3;
  static constexpr int retries_a_ttl = 10;

  duration ttl_;
  steady_time held_until_;
  steady_time next_;
};

}  // namespace millrace::runtime
