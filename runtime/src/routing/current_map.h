// SPDX-License-Identifier: MIT
// Current map: the cluster map that every call looks into, and that hardly ever changes.
//
// A thread keeps the map that it saw last, with the number of that map; as long as the number is
// the current one, a look is a load of a line that all threads share and nobody writes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "routing/cluster_map.h"

namespace millrace::runtime {

/// Threading: any thread.
class current_map {
public:
  /// Nobody but this silo.
  current_map() : current_map(std::make_shared<cluster_map>()) {}
  explicit current_map(std::shared_ptr<const cluster_map> first) { set(std::move(first)); }

  void set(std::shared_ptr<const cluster_map> map);

  /// The one that was set last. Ownership: it stays until this thread looks again, into whichever
  /// current map. Cost: a load; a lock and a copy of a pointer after a change.
  [[nodiscard]] const cluster_map& get() const;

private:
  mutable std::mutex mutex_;  // guards the change of both
  std::shared_ptr<const cluster_map> map_;
  std::atomic<std::uint64_t> number_{0};  // no two maps of a process have the same
};

}  // namespace millrace::runtime
