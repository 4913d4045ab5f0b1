// SPDX-License-Identifier: MIT
#include "silo/directory.h"

#include <utility>

namespace millrace::runtime::detail {

activation* directory::find(const actor_hash& hash) {
  auto& own = shard_of(hash);
  const std::lock_guard lock{own.mutex};
  const auto found = own.activations.find(hash);
  if (found == own.activations.end()) {
    return nullptr;
  }
  found->second->keep();
  return found->second;
}

void directory::erase(activation& one) {
  auto& own = shard_of(one.hash());
  {
    const std::lock_guard lock{own.mutex};
    const auto found = own.activations.find(one.hash());
    if (found == own.activations.end() || found->second != &one) {
      return;
    }
    own.activations.erase(found);
  }
  one.release();
  if (count_.fetch_sub(1, std::memory_order_relaxed) == 1) {
    const std::lock_guard lock{mutex_};
    erased_.notify_all();
  }
}

void directory::clear() {
  for (auto& each : shards_) {
    for (auto& [hash, one] : std::exchange(each.activations, {})) {
      one->discard();  // they may hold each other through calls that will not be answered
      one->release();
    }
  }
  count_ = 0;
}

void directory::for_each(const std::function<void(activation&)>& visit) {
  for (auto& each : shards_) {
    const std::lock_guard lock{each.mutex};
    for (auto& [hash, one] : each.activations) {
      visit(*one);
    }
  }
}

bool directory::wait_until_empty(duration limit) {
  std::unique_lock lock{mutex_};
  return erased_.wait_for(lock, limit, [this] { return size() == 0; });
}

}  // namespace millrace::runtime::detail
