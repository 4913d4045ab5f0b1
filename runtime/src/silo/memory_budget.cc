// SPDX-License-Identifier: MIT
#include "silo/memory_budget.h"

#include <array>
#include <string>

#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {

// Asked to leave by one event: bounds what it costs, and is more than what one event can make, or
// those that leave, behind others in the scheduler's queue, would be fewer than those that come.
constexpr unsigned asked_max = 8;

}  // namespace

memory_budget::memory_budget(silo_core& home, std::size_t limit)
    : home_(home), limit_(static_cast<std::int64_t>(limit)), low_(limit_ - limit_ / 8) {
  idle_.older_ = idle_.newer_ = &idle_;
}

void memory_budget::list(memory_share& one, steady_time used) noexcept {
  one.newer_ = &idle_;
  one.older_ = idle_.older_;
  one.older_->newer_ = &one;
  idle_.older_ = &one;
  one.used_ = used;
  one.place_.store(memory_share::place::listed, std::memory_order_relaxed);
}

void memory_budget::unlist(memory_share& one) noexcept {
  one.older_->newer_ = one.newer_;
  one.newer_->older_ = one.older_;
  one.place_.store(memory_share::place::none, std::memory_order_relaxed);
}

void memory_budget::take_back(memory_share& one) noexcept {
  asked_bytes_ -= one.asked_bytes_;
  --asked_;
  one.place_.store(memory_share::place::none, std::memory_order_relaxed);
}

void memory_budget::settle(memory_share& one, std::size_t bytes, memory_share::standing as,
                           steady_time used) {
  const auto grown = static_cast<std::int64_t>(bytes) - one.bytes_.load(std::memory_order_relaxed);
  if (grown != 0) {
    one.bytes_.store(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
    used_.fetch_add(grown, std::memory_order_relaxed);
  }
  using place = memory_share::place;
  const auto idle = as == memory_share::standing::idle;
  const auto seen = one.place_.load(std::memory_order_relaxed);
  const auto moves = idle && (seen == place::none || used - one.used_ >= order_grain);
  const auto refuses = seen == place::asked && as != memory_share::standing::leaving;
  if (!moves && !refuses && used_.load(std::memory_order_relaxed) <= limit_) {
    return;
  }
  {
    const std::lock_guard lock{mutex_};
    const auto now_at = one.place_.load(std::memory_order_relaxed);
    if (refuses) {
      take_back(one);
    }
    if (moves && now_at == place::listed) {
      unlist(one);
    }
    if (idle && one.place_.load(std::memory_order_relaxed) == place::none) {
      list(one, used);
    }
  }
  relieve();
}

void memory_budget::leave(memory_share& one) {
  if (!on()) {
    return;
  }
  {
    const std::lock_guard lock{mutex_};
    used_.fetch_sub(one.bytes_.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
    const auto at = one.place_.load(std::memory_order_relaxed);
    if (at == memory_share::place::listed) {
      unlist(one);
    } else if (at == memory_share::place::asked) {
      take_back(one);
      evictions_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  relieve();
}

void memory_budget::relieve() {
  std::array<activation*, asked_max> asked;
  unsigned count = 0;
  auto exhausted = false;
  {
    const std::lock_guard lock{mutex_};
    const auto used = used_.load(std::memory_order_relaxed);
    relieving_ = used > limit_ || (relieving_ && used > low_);
    warned_ = warned_ && relieving_;
    auto left = used - asked_bytes_;
    while (relieving_ && left > low_ && count < asked_max && idle_.newer_ != &idle_) {
      auto& first = *idle_.newer_;
      unlist(first);
      first.place_.store(memory_share::place::asked, std::memory_order_relaxed);
      first.asked_bytes_ = first.bytes_.load(std::memory_order_relaxed);
      asked_bytes_ += first.asked_bytes_;
      left -= first.asked_bytes_;
      ++asked_;
      asked[count] = static_cast<activation*>(&first);
      asked[count++]->keep();  // it unlists itself before it drops its last reference
    }
    exhausted = used > limit_ && asked_ == 0 && !warned_;
    warned_ = warned_ || exhausted;
  }
  for (unsigned at = 0; at < count; ++at) {
    asked[at]->post_or_drop(new envelope{envelope_kind::evict});
    asked[at]->release();
  }
  if (exhausted) {
    exhausted_.fetch_add(1, std::memory_order_relaxed);
    home_.warn("over the memory budget and every activation is busy used_bytes=" +
               std::to_string(bytes()) + " budget_bytes=" + std::to_string(limit_));
  }
}

std::uint64_t memory_budget::bytes() const noexcept {
  const auto used = used_.load(std::memory_order_relaxed);
  return used > 0 ? static_cast<std::uint64_t>(used) : 0;
}

}  // namespace millrace::runtime::detail
