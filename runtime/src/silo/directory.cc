// SPDX-License-Identifier: MIT
#include "silo/directory.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace millrace::runtime::detail {

activation* directory::find(const actor_hash& hash) {
  auto& own = shard_of(hash);
  const std::lock_guard lock{own.mutex};
  auto* found = own.activations.find(hash);
  if (found != nullptr) {
    found->keep();
  }
  return found;
}

void directory::erase(activation& one) {
  auto& own = shard_of(one.hash());
  {
    const std::lock_guard lock{own.mutex};
    if (own.activations.find(one.hash()) != &one) {
      return;
    }
    own.activations.erase(one.hash());
  }
  one.release();
  if (count_.fetch_sub(1, std::memory_order_relaxed) == 1) {
    const std::lock_guard lock{mutex_};
    erased_.notify_all();
  }
}

void directory::clear() {
  for (auto& each : shards_) {
    std::exchange(each.activations, {}).for_each([](activation& one) {
      one.discard();  // they may hold each other through calls that will not be answered
      one.release();
    });
  }
  count_ = 0;
}

void directory::for_each(const std::function<void(activation&)>& visit) {
  for (auto& each : shards_) {
    const std::lock_guard lock{each.mutex};
    each.activations.for_each(visit);
  }
}

bool directory::visit_page(const std::optional<actor_hash>& after, std::size_t limit,
                           const std::function<bool(const activation&)>& wanted,
                           const std::function<void(const activation&)>& visit) {
  const auto before = [](const activation* a, const activation* b) {
    return a->hash() < b->hash();
  };
  std::vector<const activation*> found;
  for (auto at = after ? after->high % shards_.size() : 0; at < shards_.size(); ++at) {
    const auto is_first = after && at == after->high % shards_.size();
    const std::lock_guard lock{shards_[at].mutex};
    found.clear();
    shards_[at].activations.for_each([&](const activation& one) {
      if ((!is_first || *after < one.hash()) && wanted(one)) {
        found.push_back(&one);
      }
    });
    const auto taken = std::min(limit, found.size());
    std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(taken),
                      found.end(), before);
    std::for_each(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(taken),
                  [&](const auto* one) { visit(*one); });
    if (taken < found.size()) {
      return true;
    }
    limit -= taken;
  }
  return false;
}

bool directory::wait_until_empty(duration limit) {
  std::unique_lock lock{mutex_};
  return erased_.wait_for(lock, limit, [this] { return size() == 0; });
}

}  // namespace millrace::runtime::detail
