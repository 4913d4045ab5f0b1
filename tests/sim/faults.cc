// SPDX-License-Identifier: MIT
// What goes wrong in a simulated cluster, and how it is mended.
#include <algorithm>

#include "cluster.h"

namespace millrace::sim {

void cluster::set_weather() {
  static constexpr std::array<std::uint64_t, 4> losses{0, 5, 30, 100};
  net.weather.lost_permille = losses[random.below(losses.size())];
  net.weather.doubled_permille = losses[random.below(losses.size())];
  net.weather.slow_permille = losses[random.below(losses.size())];
  net.weather.slow = random.once_in(2) ? milliseconds{200} : seconds{3};
  net.weather.usual = random.once_in(3) ? milliseconds{20} : milliseconds{1};
  store.weather.lost_permille = random.once_in(2) ? 0 : 150;
  store.weather.late_permille = random.once_in(2) ? 0 : 400;
  store.weather.late = random.once_in(2) ? seconds{1} : seconds{6};
  store.weather.watch_late = random.once_in(2) ? milliseconds{20} : seconds{3};
  client_interval_ = random.between(milliseconds{15}, milliseconds{120});
  fault_interval_ = random.between(milliseconds{300}, seconds{4});
}

void cluster::inject_later() {
  plan.after(random.between(fault_interval_ / 4, fault_interval_ * 2), [this] {
    if (!healing_) {
      ++counted.faults;
      inject();
      inject_later();
    }
  });
}

void cluster::inject() {
  const auto index = random.below(silos.size());
  auto& one = *silos[index];
  switch (random.below(20)) {
    case 0:
    case 1:
    case 2:
      kill_one(one);
      break;
    case 3:  // the power goes
      if (random.once_in(3)) {
        for (const auto& each : silos) {
          kill_one(*each);
        }
      }
      break;
    case 4:
    case 5:
      one.pause(random.between(milliseconds{100}, random.once_in(4) ? seconds{12} : seconds{4}));
      break;
    case 6:
    case 7:
    case 8:
      cut_one(index);
      break;
    case 9:
    case 10:
      disturb_store(index);
      break;
    case 11:
    case 12:
      disturb_disk(one);
      break;
    case 13:
      one.set_disk_full(true);
      plan.after(random.between(milliseconds{50}, seconds{4}),
                 [&one] { one.set_disk_full(false); });
      break;
    case 14: {
      auto& to = *silos[random.below(silos.size())];
      if (&to != &one && to.copy() != nullptr) {
        one.hand_over(to.silo());
      }
      break;
    }
    case 15:
      strike_between();
      break;
    case 16:
      if (impatient_ && random.once_in(2) && one.copy() != nullptr && !one.is_tainted() &&
          !check.is_lost(one.id())) {
        log.note(plan.now(), "break glass", {one.silo()});
        one.break_glass();
      }
      break;
    case 17:
      net.spoil(index, random.below(silos.size()), random.between_of(200, 600),
                plan.now() + random.between(seconds{2}, seconds{10}));
      break;
    case 18:
      one.slow_disk(plan.now() + random.between(seconds{1}, seconds{8}));
      break;
    default:
      one.keep_image();
  }
}

void cluster::isolate(std::size_t one, steady_time until) {
  for (std::size_t other = 0; other < silos.size(); ++other) {
    if (other != one) {
      net.cut(one, other, until);
      net.cut(other, one, until);
    }
  }
}

// A primary is cut off, and one of the others forgets what it has granted; or, when the primary
// comes back and another one has led since, to whom it had promised what.
void cluster::strike_between() {
  const bool when_back = random.once_in(2);
  for (const auto& each : silos) {
    if (each->id() != store.record().primary || !each->is_up()) {
      continue;
    }
    const auto length = random.between(seconds{when_back ? 2 : 1}, seconds{4});
    isolate(each->silo(), plan.now() + length);
    if (when_back) {
      store.cut(each->silo(), plan.now() + length + seconds{1});
    }
    auto& one = *silos[random.below(silos.size())];
    if (&one != each.get()) {
      plan.after(when_back ? length - milliseconds{300} : duration{}, [&one] { one.kill(); });
      plan.after(when_back ? length - random.between({}, milliseconds{100})
                           : random.between(milliseconds{20}, milliseconds{300}),
                 [&one] { one.start(); });
    }
  }
}

// Who stands for primary dies and comes back before the store makes it primary, and dies again as
// soon as it has. Meanwhile the old primary is well, and is granted leases; then it is cut off.
void cluster::usurp(const partition_record& wanted) {
  net.mend_cuts();
  const auto old = store.record().primary;
  for (const auto& each : silos) {
    auto& one = *each;
    if (one.id() == old) {
      plan.after({}, [&one] { one.resume(); });
    } else if (one.id() == wanted.primary) {
      plan.after({}, [&one] { one.kill(); });
      plan.after(milliseconds{5}, [&one] { one.start(); });
      usurper_ = usurper{one.silo(), wanted.epoch, old};
    }
  }
}

void cluster::depose(const partition_record& after) {
  if (!usurper_ || after.epoch < usurper_->epoch) {
    return;
  }
  const auto [silo, epoch, old] = *std::exchange(usurper_, {});
  auto& one = *silos[silo];
  if (healing_ || after.primary != one.id()) {
    return;
  }
  for (const auto& each : silos) {
    if (each->id() == old) {
      isolate(each->silo(), plan.now() + seconds{2});
      store.cut(each->silo(), plan.now() + seconds{2});
    }
  }
  plan.after({}, [this, &one] { kill_one(one); });
}

// A copy that is asked in comes back with less, and what it lacks comes slowly. The change does not
// get through. Or it does, late, and until then more is committed; whoever asked for it does not
// hear of it and dies.
duration cluster::forget_while_joining(const copy_id& primary, std::size_t joining) {
  auto& forgetful = *silos[joining];
  const auto asked = std::find_if(silos.begin(), silos.end(),
                                  [&](const auto& each) { return each->id() == primary; });
  if (asked == silos.end()) {
    return {};
  }
  auto& one = **asked;
  const auto late = random.between(seconds{2}, seconds{4});
  const auto lossy = [this, silo = one.silo(), joining, until = plan.now() + seconds{8}] {
    net.spoil(silo, joining, random.between_of(0, 800), until);
  };
  const auto cut = [this, silo = one.silo(), until = plan.now() + seconds{8}] {
    store.cut(silo, until);
  };
  if (random.once_in(2)) {
    roll_back(forgetful);
    cut();
    lossy();
    return late;
  }
  plan.after({}, cut);
  plan.after(late - random.between(milliseconds{300}, milliseconds{1500}),
             [this, &forgetful, lossy] {
               if (may_lose(forgetful)) {
                 roll_back(forgetful);
                 lossy();
               }
             });
  plan.after(late + random.between({}, milliseconds{300}), [&one] { one.kill(); });
  plan.after(late + random.between(seconds{3}, seconds{8}), [&one] { one.start(); });
  return late;
}

// A change that lets a copy join happens long after it was asked for, and the copy is gone by then.
duration cluster::hold_up(const partition_record& wanted) {
  if (!healing_ && wanted.epoch > store.record().epoch && random.once_in(4)) {
    usurp(wanted);
    return random.between(milliseconds{200}, milliseconds{1500});
  }
  if (!healing_ && wanted.epoch == store.record().epoch && plan.now() < held_up_until_) {
    return held_up_until_ - plan.now() + milliseconds{5};  // behind the one that is held up
  }
  if (healing_ || wanted.in_sync.size() <= store.record().in_sync.size() || !random.once_in(8)) {
    return {};
  }
  const auto until = plan.now() + random.between(seconds{2}, seconds{6});
  const auto joining = static_cast<std::size_t>(wanted.in_sync.back().silo[1] - '0');
  if (random.once_in(3)) {
    plan.after({}, [this, joining] { silos[joining]->replace_disk(); });
    return random.between(milliseconds{100}, seconds{3});
  }
  if (silos[joining]->may_roll_back() && may_lose(*silos[joining])) {
    return forget_while_joining(wanted.primary, joining);
  }
  for (std::size_t other = 0; other < silos.size(); ++other) {
    net.cut(joining, other, until);
  }
  held_up_until_ = plan.now() + random.between(seconds{1}, seconds{5});
  return held_up_until_ - plan.now();
}

// Of a process that has exited the others may have proof.
void cluster::kill_one(sim_process& one) {
  if (!one.is_up()) {
    return;
  }
  const auto epoch = store.record().epoch;
  const auto id = one.id();
  const bool was_primary = store.record().primary == id;
  one.kill();
  plan.after(random.between(milliseconds{20}, random.once_in(3) ? seconds{8} : seconds{1}),
             [&one] { one.start(); });
  if (was_primary && random.once_in(2)) {
    for (const auto& each : silos) {
      if (each.get() != &one) {
        plan.after(random.between(milliseconds{1}, milliseconds{100}),
                   [&other = *each, id, epoch] { other.hear_of_death(id, epoch); });
      }
    }
  }
}

void cluster::cut_one(std::size_t one) {
  const auto until = plan.now() + random.between(milliseconds{300}, seconds{9});
  const auto kind = random.below(4);
  for (std::size_t other = 0; other < silos.size(); ++other) {
    if (other == one || (kind == 3 && random.once_in(2))) {
      continue;
    }
    if (kind != 1) {
      net.cut(one, other, until);
    }
    if (kind != 2) {
      net.cut(other, one, until);
    }
  }
  if (random.once_in(3)) {
    store.cut(one, until);
  }
}

void cluster::disturb_store(std::size_t one) {
  const auto until = plan.now() + random.between(milliseconds{500}, seconds{10});
  const bool is_down = random.once_in(3);
  for (std::size_t silo = 0; silo < silos.size(); ++silo) {
    if (is_down || silo == one) {
      store.cut(silo, until);
    }
  }
}

// Somebody else whom the record lists has everything.
bool cluster::may_lose(const sim_process& one) const {
  const auto& record = store.record();
  return reckless_ || std::any_of(silos.begin(), silos.end(), [&](const auto& each) {
           return each.get() != &one && each->is_sound() && !check.is_lost(each->id()) &&
                  runtime::is_complete(record, {each->id(), "s" + std::to_string(each->silo())});
         });
}

void cluster::roll_back(sim_process& one) {
  plan.after({}, [this, &one] {
    if (one.may_roll_back()) {
      one.roll_back();
      plan.after(milliseconds{100}, [&one] { one.start(); });
    }
  });
}

void cluster::disturb_disk(sim_process& one) {
  if (!one.has_disk() || !may_lose(one)) {
    return;
  }
  switch (random.below(6)) {
    case 0:
    case 1:
      one.replace_disk();
      break;
    case 2:
      one.fail_next_write();
      break;
    case 3:
      one.rot_row();
      break;
    case 4:
      if (one.may_roll_back()) {
        roll_back(one);
      }
      break;
    default:
      one.rot();
  }
}

void cluster::heal() {
  healing_ = true;
  healed_at_ = plan.now();
  writes_before_ = check.writes();
  net.heal();
  store.heal();
  for (const auto& each : silos) {
    each->set_disk_full(false);
    each->start();
  }
  log.note(plan.now(), "healed", {});
}

// An operator, when nobody is left whom the record lists, or it is set aside. Whoever has the
// longest log is chosen, and the next one when that has changed nothing.
void cluster::break_glass_if_needed() {
  const auto& record = store.record();
  std::vector<sim_process*> left;
  for (const auto& each : silos) {
    if (each->copy() == nullptr) {
      continue;
    }
    if (runtime::is_complete(record, {each->id(), "s" + std::to_string(each->silo())}) &&
        !check.is_lost(each->id()) && !each->copy()->set_aside()) {
      return;
    }
    left.push_back(each.get());
  }
  std::stable_sort(left.begin(), left.end(), [](const auto* one, const auto* other) {
    return one->copy()->log().tail().seq > other->copy()->log().tail().seq;
  });
  if (!left.empty()) {
    auto& chosen = *left[operator_tries_++ % left.size()];
    log.note(plan.now(), "break glass", {chosen.silo()});
    chosen.break_glass();
  }
}

}  // namespace millrace::sim
