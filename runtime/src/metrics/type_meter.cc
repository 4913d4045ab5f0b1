// SPDX-License-Identifier: MIT
#include "metrics/type_meter.h"

namespace millrace::runtime::detail {

void type_meter::add_to(type_metrics& all) const noexcept {
  for (std::size_t method = 0; method < all.methods.size(); ++method) {
    for (std::size_t code = 0; code < error_codes_max; ++code) {
      all.methods[method].ended[code] += ended[method][code].read();
    }
  }
  latency.add_to(all.latency);
  turns.add_to(all.turns);
  all.begun_total += begun.read();
  all.sends_total += sends.read();
  all.reminders_fired_total += reminders_fired.read();
  all.dead_letters_total += dead_letters.read();
  all.stuck_total += stuck.read();
  all.activations_total += made.read();
  all.deactivations.idle += deactivated[static_cast<std::size_t>(deactivation::idle)].read();
  all.deactivations.requested +=
      deactivated[static_cast<std::size_t>(deactivation::requested)].read();
  all.deactivations.stopping +=
      deactivated[static_cast<std::size_t>(deactivation::stopping)].read();
  all.deactivations.memory += evicted.read();
  all.deactivations.failed += failed.read();
}

void turn_timer::clock_read(steady_time now) noexcept {
  if (turns_ > 0) {
    const auto together = now - since_;
    type_->turns.add(turns_ == 1 ? together : together / turns_, turns_);  // to divide is slow
    turns_ = 0;
  }
  for (; answered_ > 0; --answered_) {
    const auto& one = answers_[answered_ - 1];
    one.type->latency.add(now - one.made);
  }
  since_ = now;
}

}  // namespace millrace::runtime::detail
