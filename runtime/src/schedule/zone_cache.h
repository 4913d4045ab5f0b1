// SPDX-License-Identifier: MIT
// Zone cache: the time zones that a silo has used, read once.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "millrace/runtime/time_zone.h"

namespace millrace::runtime {

/// Threading: any thread. Cost: a lock and a lookup; the first use of a zone reads its file.
class zone_cache {
public:
  /// Errors: as `load_time_zone`; they are not remembered.
  [[nodiscard]] result<time_zone> get(const std::string& name) {
    const std::lock_guard lock{mutex_};
    if (const auto found = zones_.find(name); found != zones_.end()) {
      return found->second;
    }
    auto loaded = load_time_zone(name);
    if (loaded) {
      zones_.emplace(name, *loaded);
    }
    return loaded;
  }

private:
  std::mutex mutex_;
  std::map<std::string, time_zone> zones_;
};

}  // namespace millrace::runtime
