// SPDX-License-Identifier: MIT
#include "silo/reminder_queue.h"

#include <algorithm>

#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {
// How far ahead the queue trusts the wall clock to run beside the steady one.
constexpr duration look_again = std::chrono::seconds{10};
}  // namespace

void reminder_queue::add(wall_time due, actor_id owner, std::string name) {
  bool first = false;
  {
    const std::lock_guard lock{mutex_};
    first = entries_.empty() || due < entries_.top().due;
    entries_.push({due, std::move(owner), std::move(name)});
  }
  if (first) {
    arm_for(due);
  }
}

std::size_t reminder_queue::size() const {
  const std::lock_guard lock{mutex_};
  return entries_.size();
}

void reminder_queue::arm_for(wall_time due) {
  const auto wait = std::clamp<duration>(due - home_.time().wall(), duration{0}, look_again);
  home_.timers().arm(*this, home_.time().steady() + wait);
}

void reminder_queue::on_alarm() noexcept {
  if (home_.stopping()) {
    return;
  }
  std::vector<entry> due;
  std::optional<wall_time> next;
  {
    const std::lock_guard lock{mutex_};
    const auto now = home_.time().wall();
    while (!entries_.empty() && entries_.top().due <= now) {
      due.push_back(entries_.top());
      entries_.pop();
    }
    if (!entries_.empty()) {
      next = entries_.top().due;
    }
  }
  for (auto& each : due) {
    const auto* type = home_.find_type(each.owner.type);
    if (type == nullptr) {
      continue;  // not hosted by this build; the row stays
    }
    auto* fired = new envelope{envelope_kind::reminder};
    fired->interface = type->interface;
    fired->key = std::move(each.owner.key);
    fired->text = std::move(each.name);
    home_.deliver(fired);
  }
  if (next) {
    arm_for(*next);
  }
}

}  // namespace millrace::runtime::detail
