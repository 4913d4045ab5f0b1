// SPDX-License-Identifier: MIT
#include "torture/history.h"

#include <algorithm>
#include <utility>

namespace torture {

namespace {

const char* name_of(operation_kind kind) {
  switch (kind) {
    case operation_kind::apply:
      return "apply";
    case operation_kind::relay:
      return "relay";
    case operation_kind::post:
      return "post";
    case operation_kind::entrust:
      return "entrust";
    case operation_kind::remind:
      return "remind";
    case operation_kind::tick:
      return "tick";
    case operation_kind::linger:
      return "linger";
    case operation_kind::put:
      return "put";
  }
  return "?";
}

const char* name_of(knowledge known) {
  return known == knowledge::done ? "done" : known == knowledge::refused ? "refused" : "unknown";
}

class check {
public:
  check(const std::map<std::string, worker_content>& found,
        const std::function<void(const std::string&)>& complain)
      : found_(found), complain_(complain) {}

  void run(const std::deque<operation>& asked) {
    for (const auto& one : asked) {
      if (one.kind == operation_kind::put) {
        slots_[{one.actor, one.slot}].push_back(&one);
      } else {
        check_effects(one);
      }
    }
    for (const auto& [place, writes] : slots_) {
      check_slot(place.first, place.second, writes);
    }
    for (const auto& [name, content] : found_) {
      std::uint64_t sum = 0;
      for (const auto& [effect, times] : content.effects) {
        sum += times;
        if (!expected_.contains({name, effect})) {
          complain_(name + " has an effect that nobody asked of it: " + effect);
        }
      }
      if (sum != content.total) {
        complain_(name + " counts " + std::to_string(content.total) + " effects and lists " +
                  std::to_string(sum));
      }
      if (content.gaps != 0) {
        complain_(name + " got " + std::to_string(content.gaps) + " deliveries out of order");
      }
    }
  }

private:
  std::uint64_t times(const std::string& actor, std::uint64_t effect) {
    const auto name = std::to_string(effect);
    expected_[{actor, name}] = true;
    const auto worker = found_.find(actor);
    if (worker == found_.end()) {
      return 0;
    }
    const auto at = worker->second.effects.find(name);
    return at != worker->second.effects.end() ? at->second : 0;
  }

  void check_effects(const operation& one) {
    const auto known = one.known();
    const auto own = times(one.actor, one.effect);
    const auto own_fits = known == knowledge::done      ? own == 1
                          : known == knowledge::refused ? own == 0
                                                        : own <= 1;
    std::uint64_t other = 0;
    auto other_fits = true;
    switch (one.kind) {
      case operation_kind::relay:
        other = times(one.other_actor, one.effect + 1);
        other_fits = other <= 1 && other >= own;
        break;
      case operation_kind::post:
      case operation_kind::entrust:
        other = times(one.other_actor, one.effect + 1);
        other_fits = other == own;
        break;
      case operation_kind::remind:
        other = times(one.actor, one.effect + 1);
        other_fits = other == own * (1 + one.chain);
        break;
      case operation_kind::tick:  // timers end with their activation
        other = times(one.actor, one.effect + 1);
        other_fits = other <= own * (1 + one.chain);
        break;
      default:
        break;
    }
    if (!own_fits || !other_fits) {
      complain_(std::string{name_of(one.kind)} + " " + std::to_string(one.effect) + " of " +
                one.actor + " (other: " + one.other_actor + ", chain " + std::to_string(one.chain) +
                ", key '" + one.idempotency_key + "') is " + name_of(known) + " and was made " +
                std::to_string(own) + " times, what follows " + std::to_string(other) + " times");
    }
  }

  // A value may stay unless another was acknowledged that was asked for after it had been answered.
  void check_slot(const std::string& actor, const std::string& slot,
                  const std::vector<const operation*>& writes) {
    const auto worker = found_.find(actor);
    std::uint64_t value = 0;
    if (worker != found_.end()) {
      if (const auto at = worker->second.slots.find(slot); at != worker->second.slots.end()) {
        value = at->second;
      }
    }
    const auto overwritten = [&](bool ended, std::uint64_t answered_at) {
      return ended && std::any_of(writes.begin(), writes.end(), [&](const auto* later) {
               return later->done && later->asked_at > answered_at;
             });
    };
    auto fits = value == 0 && !overwritten(true, 0);
    for (const auto* one : writes) {
      fits = fits || (one->value == value && one->known() != knowledge::refused &&
                      !overwritten(one->known() == knowledge::done, one->answered_at));
    }
    if (!fits) {
      complain_("slot " + slot + " of " + actor + " holds " + std::to_string(value) +
                ", which was overwritten or never written");
    }
  }

  const std::map<std::string, worker_content>& found_;
  const std::function<void(const std::string&)>& complain_;
  std::map<std::pair<std::string, std::string>, bool> expected_;
  std::map<std::pair<std::string, std::string>, std::vector<const operation*>> slots_;
};

}  // namespace

void check_history(const std::deque<operation>& asked,
                   const std::map<std::string, worker_content>& found,
                   const std::function<void(const std::string&)>& complain) {
  check{found, complain}.run(asked);
}

}  // namespace torture
