// SPDX-License-Identifier: MIT
// Lease table: since when a pool has heard nothing of each of its executors.
//
// A pure core; see executor_lease.h for what it rests on. It is the memory of one activation of the
// pool: the next one has heard of every executor when it begins.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// Threading: none of its own. Time: `now` is the steady clock of the pool's silo.
/// Cost: O(log n) to hear of one; the rest asks each.
class lease_table {
public:
  /// `lost_after`: as `lease_timing`.
  explicit lease_table(runtime::duration lost_after) : lost_after_(lost_after) {}

  /// The executor has joined or renewed, or is known from before.
  void heard(std::string_view executor, runtime::steady_time now) {
    lost_at_.insert_or_assign(std::string{executor}, runtime::time_after(now, lost_after_));
  }
  /// It is another one's name now.
  void forget(std::string_view executor) {
    if (const auto found = lost_at_.find(executor); found != lost_at_.end()) {
      lost_at_.erase(found);
    }
  }

  /// Those that are lost, which are then forgotten.
  [[nodiscard]] std::vector<std::string> take_lost(runtime::steady_time now) {
    std::vector<std::string> lost;
    for (auto at = lost_at_.begin(); at != lost_at_.end();) {
      if (now >= at->second) {
        lost.push_back(at->first);
        at = lost_at_.erase(at);
      } else {
        ++at;
      }
    }
    return lost;
  }

  /// When the first of them would be lost; nothing when there is none.
  [[nodiscard]] std::optional<runtime::steady_time> next() const {
    std::optional<runtime::steady_time> first;
    for (const auto& [executor, at] : lost_at_) {
      first = first && *first <= at ? first : at;
    }
    return first;
  }

private:
  runtime::duration lost_after_;
  std::map<std::string, runtime::steady_time, std::less<>> lost_at_;
};

}  // namespace millrace::actors
