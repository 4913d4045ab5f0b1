// SPDX-License-Identifier: MIT
#include "cluster/record_requests.h"

#include <algorithm>

#include "millrace/runtime/assert.h"

namespace millrace::runtime::detail {

namespace {

// One of so many does not wait, however many takeovers ask again and again.
constexpr std::uint64_t one_can_wait_of = 4;

}  // namespace

record_requests::waiting& record_requests::entry_of(partition_id partition, bool& is_first) {
  const auto [at, is_new] = waiting_.try_emplace(partition);
  auto& one = at->second;
  is_first = is_new;
  if (is_new) {
    one.what.partition = partition;
    one.at = {unled_.contains(partition) ? urgency::others_wait : urgency::can_wait, ++last_};
    order_.emplace(one.at, partition);
  }
  return one;
}

void record_requests::hurry(waiting& one, urgency how) {
  order_.erase({one.at, one.what.partition});
  one.at.how = std::min(one.at.how, how);
  order_.emplace(one.at, one.what.partition);
}

bool record_requests::want_change(const stored_partition& wanted, writes_wait waits) {
  const std::lock_guard lock{mutex_};
  bool is_first = false;
  auto& one = entry_of(wanted.partition, is_first);
  one.what.change = wanted;
  if (wanted.state == partition_state::active && unled_.contains(wanted.partition)) {
    hurry(one, urgency::ends_takeover);
  } else if (wanted.state == partition_state::recovering || waits == writes_wait::yes) {
    hurry(one, urgency::others_wait);
  }
  return is_first;
}

bool record_requests::want_read(partition_id partition) {
  const std::lock_guard lock{mutex_};
  bool is_first = false;
  entry_of(partition, is_first).what.read = true;
  return is_first;
}

record_requests::request record_requests::take() {
  const std::lock_guard lock{mutex_};
  MILLRACE_ASSERT(!order_.empty());
  auto first = order_.begin();
  if (++taken_ % one_can_wait_of == 0) {
    const auto waits = order_.lower_bound({place{urgency::can_wait, 0}, partition_id{}});
    first = waits == order_.end() ? first : waits;
  }
  const auto partition = first->second;
  order_.erase(first);
  return std::move(waiting_.extract(partition).mapped().what);
}

void record_requests::learned(const stored_partition& record) {
  const std::lock_guard lock{mutex_};
  if (record.state == partition_state::recovering) {
    unled_.insert(record.partition);
  } else {
    unled_.erase(record.partition);
  }
}

}  // namespace millrace::runtime::detail
