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
    case operation_kind::hand_on:
      return "hand_on";
    case operation_kind::remind:
      return "remind";
    case operation_kind::tick:
      return "tick";
    case operation_kind::linger:
      return "linger";
    case operation_kind::put:
      return "put";
    case operation_kind::stumble:
      return "stumble";
    case operation_kind::post_stumble:
      return "post_stumble";
    case operation_kind::tour:
      return "tour";
  }
  return "?";
}

const char* name_of(knowledge known) {
  return known == knowledge::done ? "done" : known == knowledge::refused ? "refused" : "unknown";
}

class check {
public:
  check(const std::map<std::string, worker_content>& found, const witness& seen)
      : found_(found), seen_(seen), complain_(seen.complain) {}

  void run(const std::deque<operation>& asked) {
    for (const auto& one : asked) {
      if (one.kind == operation_kind::put) {
        slots_[{one.actor, one.slot}].push_back(&one);
      } else if (one.kind == operation_kind::tour) {
        check_tour(one);
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
      case operation_kind::hand_on:
        other = times(one.other_actor, one.effect + 1);
        other_fits = other == own;
        break;
      case operation_kind::stumble:  // all or nothing, between two suspensions
        other = times(one.actor, one.effect + 1);
        other_fits =
            (one.pauses ? other <= own : other == own) && (known != knowledge::done || other == 1);
        break;
      case operation_kind::post_stumble: {
        other = times(one.other_actor, one.effect + 1);
        other_fits = other == own && times(one.other_actor, one.effect + 2) == other;
        break;
      }
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

  void check_tour(const operation& one) {
    const auto known = one.known();
    const auto ended = whole(one.route);
    if ((known == knowledge::done && !ended) ||
        (known == knowledge::refused && ended && one.route.keeps())) {
      complain_("tour " + std::to_string(one.effect) + " of " + one.actor + " is " +
                name_of(known) + " and has " + (ended ? "" : "not ") + "ended");
    }
    check_stop(one.route, true);
  }

  // Whether it can have been answered well.
  bool whole(const stop& one) {
    if (one.offloads && one.fails) {
      return false;
    }
    if (one.keeps()) {
      return times(one.actor, one.number + 1) > 0;
    }
    return one.tolerant || std::all_of(one.next.begin(), one.next.end(),
                                       [this](const auto& each) { return whole(each); });
  }

  // `may_begin`: what it follows from is there, so that it may be.
  void check_stop(const stop& one, bool may_begin) {
    if (one.keeps()) {
      const auto begun = times(one.actor, one.number);
      const auto ended = times(one.actor, one.number + 1);
      const auto all_whole = std::all_of(one.next.begin(), one.next.end(),
                                         [this](const auto& each) { return whole(each); });
      if (begun > (may_begin ? 1U : 0U) || ended > begun ||
          (ended > 0 && ((one.offloads && one.fails) || (!one.tolerant && !all_whole))) ||
          (begun == 0 && seen_.was_outside(one.number))) {
        complain_("stop " + std::to_string(one.number) + " at " + one.actor + " has begun " +
                  std::to_string(begun) + " times and ended " + std::to_string(ended) +
                  " times, and " + (may_begin ? "might" : "might not"));
      }
      may_begin = begun > 0;
    }
    auto next_may_begin = may_begin && !(one.offloads && one.fails);
    for (const auto& each : one.next) {
      check_stop(each, next_may_begin);
      next_may_begin = next_may_begin && (one.together || one.tolerant || whole(each));
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
  const witness& seen_;
  const std::function<void(const std::string&)>& complain_;
  std::map<std::pair<std::string, std::string>, bool> expected_;
  std::map<std::pair<std::string, std::string>, std::vector<const operation*>> slots_;
};

}  // namespace

void check_history(const std::deque<operation>& asked,
                   const std::map<std::string, worker_content>& found, const witness& seen) {
  check{found, seen}.run(asked);
}

}  // namespace torture
