// SPDX-License-Identifier: MIT
// Type meter: what is counted of one actor type.
//
// Each thread that runs turns has a meter a type and is the only one to write it, so counting costs
// no locked instruction; whoever wants the figures adds the threads' up. What happens on other
// threads, and rarely, goes into one more meter that the type has for all of them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "meter.h"
#include "millrace/runtime/actor.h"
#include "millrace/runtime/metrics.h"

namespace millrace::runtime::detail {

/// Threading: as its counts.
struct type_meter {
  using outcomes = std::array<meter_count, error_codes_max>;  ///< By code; 0: well.

  explicit type_meter(const interface_info& interface)
      : ended(std::make_unique<outcomes[]>(interface.methods.size())) {}

  [[nodiscard]] meter_count& ended_with(std::uint16_t method, const error* failure) noexcept {
    return ended[method][failure != nullptr ? static_cast<std::size_t>(failure->code()) : 0];
  }
  /// Adds what is counted here. Requires: `all` has the methods of the type.
  void add_to(type_metrics& all) const noexcept;

  std::unique_ptr<outcomes[]> ended;  ///< By method.
  meter_histogram latency;
  meter_histogram turns;
  meter_count begun;
  meter_count sends;
  meter_count reminders_fired;
  meter_count dead_letters;
  meter_count stuck;
  meter_count made;
  std::array<meter_count, 3> deactivated;  ///< By `deactivation`; without those for memory.
  meter_count evicted;                     ///< For memory.
  meter_count failed;
};

/// Tells how long what a thread runs takes, from readings of the clock that others make.
///
/// Threading: one thread.
class turn_timer {
public:
  /// The thread has read the clock: what it did since the last reading took until now.
  void clock_read(steady_time now) noexcept;

  /// A turn has ended. Requires: the clock has been read since another type's.
  void turn_ended(type_meter& type) noexcept {
    type_ = &type;
    ++turns_;
  }

  /// An answer has left for a call that was made then.
  void answered(type_meter& type, steady_time made) noexcept {
    if (answered_ < answers_.size()) {
      answers_[answered_++] = {&type, made};
    }
  }
  /// Nothing more can be noted before the clock is read.
  [[nodiscard]] bool full() const noexcept { return answered_ == answers_.size(); }
  [[nodiscard]] bool pending() const noexcept { return turns_ + answered_ > 0; }

private:
  struct answer {
    type_meter* type;
    steady_time made;
  };
  steady_time since_{};
  type_meter* type_ = nullptr;
  std::uint32_t turns_ = 0;
  std::uint32_t answered_ = 0;
  std::array<answer, 64> answers_;
};

}  // namespace millrace::runtime::detail
