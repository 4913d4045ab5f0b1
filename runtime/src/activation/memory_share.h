// SPDX-License-Identifier: MIT
// Memory share: the part that one activation has in its silo's memory budget.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "millrace/runtime/clock.h"

namespace millrace::runtime::detail {

/// Written by the budget, see there.
class memory_share {
public:
  /// Whether it may be asked to leave.
  enum class standing : std::uint8_t { busy, idle, leaving };

  /// Whether it has been asked to leave and has not refused. For its activation.
  [[nodiscard]] bool asked() const noexcept {
    return place_.load(std::memory_order_relaxed) == place::asked;
  }

  /// What it holds, about. Threading: any thread.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(bytes_.load(std::memory_order_relaxed));
  }

private:
  friend class memory_budget;
  enum class place : std::uint8_t { none, listed, asked };
  memory_share* older_ = nullptr;  // in a ring: the newest is the head's older one
  memory_share* newer_ = nullptr;
  std::atomic<std::int64_t> bytes_{0};
  std::int64_t asked_bytes_ = 0;
  steady_time used_{};  // when it was put into the list
  std::atomic<place> place_{place::none};
};

}  // namespace millrace::runtime::detail
