// SPDX-License-Identifier: MIT
// Executor lease: how an executor and its pool agree that it is gone, without talking.
//
// An executor that is cut off may run on. So it holds a lease: it renews it with its pool, counts
// it from when it *sent* the renewal that was answered, and once it is over ends by itself whatever
// it runs. The pool counts from when it *received* the last renewal, which is later, and waits
// longer, so when it calls an executor lost nothing runs there any more. Only the rates of the two
// clocks need to agree, not what they show (C. Gray and D. Cheriton, "Leases", 1989).
#pragma once

#include <algorithm>

#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// The same for every silo of a cluster.
struct lease_timing {
  runtime::duration renewed_every = std::chrono::seconds{2};
  /// Several renewals may be lost within it. Requires: longer than `renewed_every`.
  runtime::duration length = std::chrono::seconds{10};
  /// What an executor needs from the end of its lease to that of what it runs: SIGKILL, no grace.
  runtime::duration ending = std::chrono::seconds{1};

  /// How long a pool waits for a renewal. Two clocks that are each off by at most 1 % differ by
  /// 1.01 / 0.99, less than a fortieth.
  [[nodiscard]] runtime::duration lost_after() const {
    const auto held = length + ending;
    return held + held / 40;
  }
};

/// An executor's view of its own lease. It has none before the first renewal.
///
/// Threading: none of its own. Time: the executor's own steady clock.
class executor_lease {
public:
  explicit executor_lease(runtime::duration length) : length_(length) {}

  /// A renewal that was sent then has been answered. Answers may come in any order.
  void renewed(runtime::steady_time sent) {
    deadline_ = std::max(deadline_, runtime::time_after(sent, length_));
  }

  /// The first instant at which it is over.
  [[nodiscard]] runtime::steady_time deadline() const noexcept { return deadline_; }
  [[nodiscard]] bool over(runtime::steady_time now) const noexcept { return now >= deadline_; }

private:
  runtime::duration length_;
  runtime::steady_time deadline_ = runtime::steady_time::min();
};

}  // namespace millrace::actors
