// SPDX-License-Identifier: MIT
#include "cluster/record_requests.h"

namespace millrace::runtime::detail {

bool record_requests::want_change(const stored_partition& wanted) {
  const std::lock_guard lock{mutex_};
  const auto [at, is_first] = waiting_.try_emplace(wanted.partition);
  at->second.change = wanted;
  return is_first;
}

bool record_requests::want_read(partition_id partition) {
  const std::lock_guard lock{mutex_};
  const auto [at, is_first] = waiting_.try_emplace(partition);
  at->second.read = true;
  return is_first;
}

record_requests::request record_requests::take(partition_id partition) {
  const std::lock_guard lock{mutex_};
  const auto taken = waiting_.extract(partition);
  return taken.empty() ? request{} : taken.mapped();
}

}  // namespace millrace::runtime::detail
