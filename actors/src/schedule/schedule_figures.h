// SPDX-License-Identifier: MIT
// What the schedules and watches of a process count, for /metrics.
#pragma once

#include <cstdint>
#include <mutex>

#include "millrace/actors/schedule.h"

namespace millrace::actors {

/// How a check of a watch has ended.
enum class check_end : bool { succeeded, failed };

/// Threading: any thread.
class schedule_figures {
public:
  /// A firing whose run begins, so long after its time (jitter included).
  void add_fired(runtime::duration late) {
    const std::lock_guard lock{mutex_};
    counts_.fired += 1;
    counts_.late.sum += late;
    std::size_t at = 0;
    while (at < runtime::histogram_bounds_ns.size() &&
           late.count() > runtime::histogram_bounds_ns[at]) {
      ++at;
    }
    counts_.late.counts[at] += 1;
  }
  void add_skipped(std::uint64_t count) {
    const std::lock_guard lock{mutex_};
    counts_.skipped += count;
  }
  void add_missed(std::uint64_t count) {
    const std::lock_guard lock{mutex_};
    counts_.missed += count;
  }
  void add_check(check_end end, std::uint64_t versions) {
    const std::lock_guard lock{mutex_};
    (end == check_end::succeeded ? counts_.checks_succeeded : counts_.checks_failed) += 1;
    counts_.versions_found += versions;
  }
  [[nodiscard]] schedule_counts counts() const {
    const std::lock_guard lock{mutex_};
    return counts_;
  }

private:
  mutable std::mutex mutex_;
  schedule_counts counts_;
};

}  // namespace millrace::actors
