// SPDX-License-Identifier: MIT
// Timer wheel: which of many timers are due.
//
// A hierarchical wheel (Varghese and Lauck, 1987): 64 slots a level, one millisecond a slot on the
// lowest, each level 64 times coarser. A timer waits in the coarsest level in which its time and
// the present differ, and moves down as the present approaches; most timers are taken out before.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "millrace/runtime/clock.h"

namespace millrace::runtime::detail {

/// One timer, a member of whatever waits for it.
///
/// Ownership: its owner's; it must not be destroyed while armed.
struct timer_entry {
  timer_entry* previous = nullptr;  ///< Null when not armed.
  timer_entry* next = nullptr;
  steady_time due{};
  std::uint64_t tick = 0;

  [[nodiscard]] bool armed() const noexcept { return previous != nullptr; }
};

/// Threading: none of its own. Time: `now` must not go backwards.
class timer_wheel {
public:
  explicit timer_wheel(steady_time now);
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;
  ~timer_wheel() = default;

  /// Arms `entry` for the first whole millisecond at or after `due`; what is already due is popped
  /// next.
  /// Requires: not armed. Cost: O(1).
  void insert(timer_entry& entry, steady_time due);

  /// Requires: armed. Cost: O(1).
  void erase(timer_entry& entry);

  /// Takes out one entry that is due at `now`; null when there is none. Cost: amortized O(levels).
  [[nodiscard]] timer_entry* pop(steady_time now);

  /// A time before which nothing is due; nothing when the wheel is empty.
  [[nodiscard]] std::optional<steady_time> next_event() const;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
  static constexpr unsigned slot_bits = 6;
  static constexpr unsigned slots = 1U << slot_bits;
  static constexpr unsigned levels = 7;  // 2^42 ms: 139 years

  void link(timer_entry& head, timer_entry& entry) noexcept;
  void place(timer_entry& entry);
  [[nodiscard]] std::uint64_t next_tick() const noexcept;

  std::uint64_t now_tick_;
  std::array<std::uint64_t, levels> occupied_{};  // a hint: a set bit may be an empty slot
  std::array<std::array<timer_entry, slots>, levels> heads_;
  timer_entry due_;  // head of what is due
  std::size_t size_ = 0;
};

}  // namespace millrace::runtime::detail
