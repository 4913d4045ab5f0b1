// SPDX-License-Identifier: MIT
// Spare plan: when a silo whose threads are all held by turns gets another thread, and until when.
//
// A pure core: it is shown the threads from time to time and says what is to be done. Two looks
// that find every thread in a turn, none moved and work waiting mean that somebody blocks.
#pragma once

#include <cstdint>

namespace millrace::runtime::detail {

/// What a look at a silo's threads has found.
struct thread_look {
  unsigned threads = 0;     ///< That the silo has without spare ones.
  unsigned busy = 0;        ///< Of these, those in a turn.
  unsigned free = 0;        ///< Of these, those that have moved since the last look, or do nothing.
  std::uint64_t turns = 0;  ///< Grows whenever a turn begins or ends, on spare ones too.
  unsigned spares = 0;      ///< Spare ones that run.
  unsigned spares_busy = 0;  ///< Of these, those in a turn.
  bool work_waits = false;   ///< For a thread.
};

enum class spare_step : std::uint8_t {
  none,
  add,      ///< One more.
  dismiss,  ///< All end, when their turn does.
};

class spare_plan {
public:
  explicit spare_plan(unsigned spares_max) : spares_max_(spares_max) {}

  [[nodiscard]] spare_step next(const thread_look& now) noexcept {
    const auto held = now.busy == now.threads && now.spares_busy == now.spares;
    const auto stands_still = held && held_ && now.turns == turns_;
    held_ = held;
    turns_ = now.turns;
    if (stands_still && now.work_waits && now.spares < spares_max_) {
      held_ = false;  // the new one is given its time
      return spare_step::add;
    }
    return now.spares > 0 && now.free > 0 ? spare_step::dismiss : spare_step::none;
  }

private:
  const unsigned spares_max_;
  bool held_ = false;
  std::uint64_t turns_ = 0;
};

}  // namespace millrace::runtime::detail
