// SPDX-License-Identifier: MIT
#include "routing/current_map.h"

namespace millrace::runtime {
namespace {

struct seen_map {
  std::uint64_t number = 0;
  std::shared_ptr<const cluster_map> map;
};

std::atomic<std::uint64_t> last_number{0};

thread_local seen_map seen;

}  // namespace

void current_map::set(std::shared_ptr<const cluster_map> map) {
  const std::lock_guard lock{mutex_};
  map_.swap(map);  // the old one goes when nobody is in here any more
  number_.store(++last_number, std::memory_order_release);
}

const cluster_map& current_map::get() const {
  auto& own = seen;
  if (own.number != number_.load(std::memory_order_acquire)) {
    const std::lock_guard lock{mutex_};
    own = {number_.load(std::memory_order_relaxed), map_};
  }
  return *own.map;
}

}  // namespace millrace::runtime
