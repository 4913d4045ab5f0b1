// SPDX-License-Identifier: MIT
#include "silo/reminder_queue.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "activation/row_layout.h"
#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {

// How far ahead the queue trusts the wall clock to run beside the steady one.
constexpr duration look_again = std::chrono::seconds{10};

// When what has fired and was not handled fires again: twice as long after each time.
constexpr duration retry_first = std::chrono::seconds{5};
constexpr duration retry_last = std::chrono::minutes{5};

duration retry_delay(unsigned fired) {
  return std::min(retry_last, retry_first * (1U << std::min(fired, 10U)));
}

std::string entry_key(const actor_hash& hash, std::string_view name) {
  return hash_bytes(hash).append(name);
}

}  // namespace

void reminder_queue::move(entry& one, wall_time due) {
  by_time_.erase(&one);
  one.due = due;
  by_time_.insert(&one);
}

// What an activation of an earlier epoch says has not been saved and never will be.
template <class May>
void reminder_queue::put(const reminder_owner& whose, std::string_view name, wall_time due,
                         May&& may_replace) {
  {
    const std::lock_guard lock{mutex_};
    const auto [found, is_fresh] = entries_.try_emplace(entry_key(whose.hash, name));
    auto& one = found->second;
    if (is_fresh) {
      one.interface = &whose.interface;
      one.partition = whose.partition;
      one.key = whose.key;
      one.name = name;
      one.number = ++added_;
    } else if (one.epoch > whose.epoch || (one.epoch == whose.epoch && !may_replace(one))) {
      return;
    }
    one.epoch = whose.epoch;
    one.fired = 0;
    move(one, due);
    if (*by_time_.begin() != &one) {
      return;
    }
  }
  arm_for(due);
}

void reminder_queue::set(const reminder_owner& whose, std::string_view name, wall_time due) {
  put(whose, name, due, [](const entry&) { return true; });
}

void reminder_queue::add(const reminder_owner& whose, std::string_view name, wall_time due) {
  put(whose, name, due, [](const entry&) { return false; });
}

void reminder_queue::restore(const reminder_owner& whose, std::string_view name, wall_time due) {
  put(whose, name, due, [due](const entry& one) { return one.fired == 0 && one.due != due; });
}

void reminder_queue::wake_later(const reminder_owner& whose) {
  // What has been woken before, to no avail, is woken later and later.
  put(whose, {}, home_.time().wall() + retry_first,
      [](const entry& one) { return one.fired == 0; });
}

void reminder_queue::cancel(const reminder_owner& whose, std::string_view name) {
  const std::lock_guard lock{mutex_};
  const auto found = entries_.find(entry_key(whose.hash, name));
  if (found != entries_.end() && found->second.epoch <= whose.epoch) {
    by_time_.erase(&found->second);
    entries_.erase(found);
  }
}

void reminder_queue::forget(partition_id partition) {
  const std::lock_guard lock{mutex_};
  for (auto each = entries_.begin(); each != entries_.end();) {
    if (each->second.partition == partition) {
      by_time_.erase(&each->second);
      each = entries_.erase(each);
    } else {
      ++each;
    }
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
  envelope_list fired;
  std::optional<wall_time> next;
  {
    const std::lock_guard lock{mutex_};
    const auto now = home_.time().wall();
    while (!by_time_.empty() && (*by_time_.begin())->due <= now) {
      auto& one = **by_time_.begin();
      if (!home_.holds(one.partition)) {  // set by an activation that was about to end
        by_time_.erase(&one);
        entries_.erase(entry_key(hash_of(one.interface->type, one.key), one.name));
        continue;
      }
      auto* told = new envelope{one.name.empty() ? envelope_kind::wake : envelope_kind::reminder};
      told->interface = one.interface;
      told->key = one.key;
      told->set_text(one.name);
      fired.push(told);
      move(one, now + retry_delay(one.fired++));
    }
    if (!by_time_.empty()) {
      next = (*by_time_.begin())->due;
    }
  }
  while (auto* one = fired.pop()) {
    home_.deliver(one);
  }
  if (next) {
    arm_for(*next);
  }
}

}  // namespace millrace::runtime::detail
