// SPDX-License-Identifier: MIT
// Record requests: what is to be asked of the store about partitions, each partition once.
//
// Copies ask again while they have no answer. A store that is slower than they ask must not be
// asked more for that: what waits for a partition is replaced by what is wanted of it now, and so
// nothing waits behind more than one request for each partition. What has been taken counts as
// asked: what is wanted from then on is asked after it.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "coordination/coordination_store.h"

namespace millrace::runtime::detail {

/// Threading: any thread.
class record_requests {
public:
  /// The first is made, if it is set; what it learns answers the read, too.
  struct request {
    std::optional<stored_partition> change;
    bool read = false;
  };

  // True: nothing waited for that partition, so somebody has to come and `take` it.
  [[nodiscard]] bool want_change(const stored_partition& wanted);
  [[nodiscard]] bool want_read(partition_id partition);

  /// What waits for that partition, which is nothing from then on.
  [[nodiscard]] request take(partition_id partition);

private:
  std::mutex mutex_;
  std::map<partition_id, request> waiting_;
};

}  // namespace millrace::runtime::detail
