// SPDX-License-Identifier: MIT
// Reminders of one activation: set, due, fired, set again.
#include "activation/activation.h"
#include "activation/watched_thread.h"
#include "schedule/zone_cache.h"

namespace millrace::runtime::detail {

zone_source activation::zones() const {
  return [this](const std::string& name) { return home_.zones().get(name); };
}

// What is thrown ends the turn's coroutine, see async.h.
stored_reminder activation::scheduled(const reminder_schedule& when) const {
  auto one = detail::scheduled(when, home_.time().wall(), zones());
  if (!one) {
    throw error{std::move(one).error()};
  }
  return *std::move(one);
}

void activation::set_reminder(const std::string& name, stored_reminder what) {
  const auto due = what.due;
  state_.set_reminder(name, std::move(what));
  home_.set_reminder(as_owner(), name, due);
}

void activation::cancel_reminder(std::string_view name) {
  state_.cancel_reminder(name);
  home_.cancel_reminder(as_owner(), name);
}

void activation::move_reminder(const std::string& name, stored_reminder what, wall_time now) {
  what.due = next_due(what, now, zones());
  if (what.due == wall_time::max()) {
    cancel_reminder(name);
  } else {
    set_reminder(name, std::move(what));
  }
}

bool activation::reminder_is_due(envelope& turn) {
  const auto* stored = state_.find_reminder(turn.text());
  const auto now = home_.time().wall();
  if (stored == nullptr) {
    home_.cancel_reminder(as_owner(), turn.text());
    return false;
  }
  if (stored->due > now) {
    home_.set_reminder(as_owner(), turn.text(), stored->due);
    return false;
  }
  if (stored->catch_up == catch_up::skip && is_missed(*stored, now, zones())) {
    move_reminder(turn.text(), *stored, now);
    return false;
  }
  auto& about = turn.extra();
  about.fired_at = now;
  about.number = stored->number;
  return true;
}

void activation::finish_reminder(const envelope& turn, bool failed) {
  thread_->meter->reminders_fired.add();
  const auto* stored = state_.find_reminder(turn.text());
  if (failed || stored == nullptr || stored->number != turn.number()) {
    return;  // the queue fires it again; or the hook cancelled it or set it anew
  }
  if (stored->repeats()) {
    move_reminder(turn.text(), *stored,
                  turn.fired_at());  // what fell due meanwhile is still to come
  } else {
    cancel_reminder(turn.text());
  }
}

}  // namespace millrace::runtime::detail
