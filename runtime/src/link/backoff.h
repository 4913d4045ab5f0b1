// SPDX-License-Identifier: MIT
// Backoff: how long to wait before the next attempt to connect.
#pragma once

#include <algorithm>

#include "millrace/runtime/clock.h"

namespace millrace::runtime {

/// Doubles from `least` to `most`; each wait is drawn from the upper half, so that those who lost
/// one peer at the same instant do not come back at the same instant.
class backoff {
public:
  /// Requires: 0 < least <= most.
  backoff(duration least, duration most) noexcept : least_(least), most_(most), next_(least) {}

  /// The wait before the next attempt.
  [[nodiscard]] duration next(rng& random) noexcept {
    const auto wait =
        next_ / 2 + duration{static_cast<duration::rep>(random.fraction() *
                                                        static_cast<double>((next_ / 2).count()))};
    next_ = std::min(2 * next_, most_);
    return wait;
  }

  /// What was connected has lasted for `lasted`: if that was long, the next failure is a first one.
  void ended(duration lasted) noexcept {
    if (lasted >= most_) {
      next_ = least_;
    }
  }

private:
  duration least_;
  duration most_;
  duration next_;
};

}  // namespace millrace::runtime
