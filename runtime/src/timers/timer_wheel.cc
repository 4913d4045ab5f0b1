// SPDX-License-Identifier: MIT
#include "timers/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "millrace/runtime/assert.h"

namespace millrace::runtime::detail {

namespace {

constexpr std::int64_t tick_ns = 1'000'000;
constexpr auto never = std::numeric_limits<std::uint64_t>::max();
// 2^42 ticks less one level: what the highest level can tell apart.
constexpr std::uint64_t farthest_ticks = std::uint64_t{1} << 41U;

std::uint64_t tick_before(steady_time time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.time_since_epoch().count())) /
         tick_ns;
}

void clear(timer_entry& head) noexcept {
  head.previous = head.next = &head;
}

bool empty(const timer_entry& head) noexcept {
  return head.next == &head;
}

void unlink(timer_entry& entry) noexcept {
  entry.previous->next = entry.next;
  entry.next->previous = entry.previous;
  entry.previous = entry.next = nullptr;
}

}  // namespace

timer_wheel::timer_wheel(steady_time now) : now_tick_(tick_before(now)) {
  for (auto& level : heads_) {
    std::for_each(level.begin(), level.end(), clear);
  }
  clear(due_);
}

void timer_wheel::link(timer_entry& head, timer_entry& entry) noexcept {
  entry.previous = head.previous;
  entry.next = &head;
  head.previous->next = &entry;
  head.previous = &entry;
}

void timer_wheel::place(timer_entry& entry) {
  if (entry.tick <= now_tick_) {
    link(due_, entry);
    return;
  }
  const auto differing = 63U - static_cast<unsigned>(std::countl_zero(entry.tick ^ now_tick_));
  const auto level = std::min(differing / slot_bits, levels - 1);
  const auto slot = (entry.tick >> (level * slot_bits)) % slots;
  occupied_[level] |= std::uint64_t{1} << slot;
  link(heads_[level][slot], entry);
}

void timer_wheel::insert(timer_entry& entry, steady_time due) {
  MILLRACE_ASSERT(!entry.armed());
  entry.due = due;
  const auto whole = tick_before(time_after(due, duration{tick_ns - 1}));
  entry.tick = std::min(whole, now_tick_ + farthest_ticks);
  ++size_;
  place(entry);
}

void timer_wheel::erase(timer_entry& entry) {
  MILLRACE_ASSERT(entry.armed());
  --size_;
  unlink(entry);
}

std::uint64_t timer_wheel::next_tick() const noexcept {
  auto best = never;
  for (unsigned level = 0; level < levels; ++level) {
    const auto shift = level * slot_bits;
    const auto position = (now_tick_ >> shift) % slots;
    const auto later =
        position + 1 == slots ? 0 : occupied_[level] & (~std::uint64_t{0} << (position + 1));
    if (later != 0) {
      const auto slot = static_cast<std::uint64_t>(std::countr_zero(later));
      best = std::min(best, ((now_tick_ >> shift) + slot - position) << shift);
    }
  }
  return best;
}

timer_entry* timer_wheel::pop(steady_time now) {
  const auto goal = tick_before(now);
  while (empty(due_)) {
    const auto next = next_tick();
    if (next > goal) {
      now_tick_ = std::max(now_tick_, goal);
      return nullptr;
    }
    now_tick_ = next;
    for (unsigned level = levels; level-- > 0;) {
      const auto shift = level * slot_bits;
      const auto slot = (next >> shift) % slots;
      if ((next & ((std::uint64_t{1} << shift) - 1)) != 0 || (occupied_[level] >> slot & 1U) == 0) {
        continue;
      }
      occupied_[level] &= ~(std::uint64_t{1} << slot);
      auto& head = heads_[level][slot];
      while (!empty(head)) {
        auto& entry = *head.next;
        unlink(entry);
        place(entry);
      }
    }
  }
  auto& first = *due_.next;
  --size_;
  unlink(first);
  return &first;
}

std::optional<steady_time> timer_wheel::next_event() const {
  const auto next = empty(due_) ? next_tick() : now_tick_;
  if (next == never) {
    return std::nullopt;
  }
  return steady_time{duration{static_cast<std::int64_t>(next) * tick_ns}};
}

}  // namespace millrace::runtime::detail
