// SPDX-License-Identifier: MIT
// Group company: for how many requests a group commit waits before it goes to the disk.
//
// Who is answered often asks again at once. If the next group goes the moment the disk is free, it
// takes those who came meanwhile and leaves out those who were just answered: two halves that take
// turns, and every flush carries half of what it could. A short wait for them makes the halves one.
// (After MariaDB's binlog_commit_wait_count and PostgreSQL's commit_delay; here nothing is set by
// hand: the wait is bounded by what it can save, and where nobody comes back it is left out.)
#pragma once

#include <algorithm>
#include <cstddef>

#include "millrace/runtime/clock.h"

namespace millrace::runtime {

/// Pure. Threading: one thread.
class group_company {
public:
  /// A group of this many is worth a flush of its own.
  static constexpr std::size_t enough = 128;

  /// A disk that was slow once must not make everybody wait.
  static constexpr duration limit_max = std::chrono::milliseconds{5};

  /// How many are worth waiting for, and for how long at most; zero: go at once.
  struct wait {
    std::size_t count = 0;
    duration limit{};
  };

  /// `answered` have just been answered after a flush that took so long; `queued` came meanwhile.
  void flushed(std::size_t answered, std::size_t queued, duration took) noexcept {
    expected_ = std::min(answered + queued, enough);
    flush_ = flush_ == duration{} ? took : flush_ + (took - flush_) / 8;
  }

  /// A group of `queued` may go now.
  [[nodiscard]] wait next(std::size_t queued) noexcept {
    if (queued >= expected_) {
      return {};
    }
    if (skip_ > 0) {
      --skip_;
      return {};
    }
    queued_ = queued;
    return {expected_, std::min(flush_, limit_max)};
  }

  /// The wait that `next` asked for is over.
  void waited(std::size_t queued) noexcept {
    const auto came = queued - std::min(queued, queued_);
    if (2 * came >= expected_ - queued_) {
      failed_ = 0;
    } else {
      failed_ = std::min(failed_ + 1, failed_max);
      skip_ = (1U << failed_) - 1;
    }
  }

private:
  static constexpr unsigned failed_max = 6;

  std::size_t expected_ = 0;  // to be there, if those answered ask again
  std::size_t queued_ = 0;    // when the wait began
  duration flush_{};          // how long one takes, smoothed
  unsigned failed_ = 0;       // waits in a row in which few came
  unsigned skip_ = 0;         // groups that do not wait for that
};

}  // namespace millrace::runtime
