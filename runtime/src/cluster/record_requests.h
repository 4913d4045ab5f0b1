// SPDX-License-Identifier: MIT
// Record requests: what is to be asked of the store about partitions, each partition once.
//
// Copies ask again while they have no answer. A store that is slower than they ask must not be
// asked more for that: what waits for a partition is replaced by what is wanted of it now, and so
// nothing waits behind more than one request for each partition. What has been taken counts as
// asked: what is wanted from then on is asked after it.
//
// When a silo goes or comes, each partition has its set of copies changed. Those that nobody leads
// meanwhile do not wait behind these, nor do those whose writes wait for the change: they go first,
// three times of four. A takeover takes two changes, and calls wait for the second, so takeovers
// that have begun go before others that have not: each partition then waits for those before it,
// and not all of them for the last one.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "coordination/coordination_store.h"
#include "storage/replication.h"

namespace millrace::runtime::detail {

/// Threading: any thread.
class record_requests {
public:
  /// The change is made, if there is one; what it learns answers the read, too.
  struct request {
    partition_id partition{};
    std::optional<stored_partition> change;
    bool read = false;
  };

  // True: nothing waited for that partition, so somebody has to come and `take` one more.
  [[nodiscard]] bool want_change(const stored_partition& wanted,
                                 writes_wait waits = writes_wait::no);
  [[nodiscard]] bool want_read(partition_id partition);

  /// The request that is most urgent, or has waited longest; it does not wait from then on.
  /// Requires: it is called once for each time that `want_` said so.
  [[nodiscard]] request take();

  /// A partition's record is like that.
  void learned(const stored_partition& record);

private:
  enum class urgency : std::uint8_t { ends_takeover, others_wait, can_wait };
  struct place {
    urgency how = urgency::can_wait;
    std::uint64_t number = 0;
    friend auto operator<=>(const place&, const place&) = default;
  };
  struct waiting {
    request what;
    place at;
  };
  waiting& entry_of(partition_id partition, bool& is_first);
  void hurry(waiting& one, urgency how);

  std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::uint64_t taken_ = 0;
  std::map<partition_id, waiting> waiting_;
  std::set<std::pair<place, partition_id>> order_;
  std::set<partition_id> unled_;  // whose record says so
};

}  // namespace millrace::runtime::detail
