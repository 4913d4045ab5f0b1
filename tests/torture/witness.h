// SPDX-License-Identifier: MIT
// What the actors see themselves: who is inside an activation at one time, and how many there are.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace torture {

/// Threading: any thread; `silo` changes only between two silos.
class witness {
public:
  explicit witness(std::function<void(const std::string&)> complain_of)
      : complain(std::move(complain_of)) {}

  const std::function<void(const std::string&)> complain;
  std::string silo;  ///< The name of the one that runs.

  std::atomic<std::uint64_t> returned{0};    ///< Calls that came back to where their chain was.
  std::atomic<std::uint64_t> overlapped{0};  ///< Readers that met another.
  std::atomic<std::uint64_t> offloaded{0};

  /// Offloaded work that follows from an effect (0: none) has begun.
  void outside(std::uint64_t effect) {
    ++offloaded;
    if (effect != 0) {
      const std::lock_guard lock{mutex_};
      seen_outside_.insert(effect);
    }
  }
  /// Requires: nothing runs.
  [[nodiscard]] bool was_outside(std::uint64_t effect) const {
    return seen_outside_.contains(effect);
  }

  /// How often that effect has been tried, this time too.
  std::uint32_t stumbles(std::uint64_t effect) {
    const std::lock_guard lock{mutex_};
    return ++stumbles_[effect];
  }

  /// An activation has turns from now on, until `leaves`.
  void enters(const std::string& actor, std::size_t activations_max) {
    const std::lock_guard lock{mutex_};
    if (++active_[actor] > activations_max) {
      complain(actor + " has turns in " + std::to_string(active_[actor]) + " activations");
    }
  }
  void leaves(const std::string& actor) {
    const std::lock_guard lock{mutex_};
    --active_[actor];
  }

private:
  std::mutex mutex_;
  std::set<std::uint64_t> seen_outside_;
  std::map<std::string, std::size_t> active_;
  std::map<std::uint64_t, std::uint32_t> stumbles_;
};

class presence;

/// The turns of one activation that may not run beside just any.
class visitors {
public:
  visitors(witness& seen, std::string actor, std::size_t activations_max)
      : seen_(seen), actor_(std::move(actor)), activations_max_(activations_max) {}

private:
  friend class presence;
  witness& seen_;
  const std::string actor_;
  const std::size_t activations_max_;
  std::vector<const presence*> all_;
};

/// Lives as long as a turn and complains if it may not run beside the others.
class presence {
public:
  enum class kind : std::uint8_t { reads, writes };

  /// `number` names it (0: nobody returns to it); `above`: the turns whose calls have led here.
  presence(visitors& to, kind what, std::uint64_t number = 0,
           const std::vector<std::uint64_t>& above = {})
      : visitors_(to), kind_(what), number_(number) {
    for (const auto* other : to.all_) {
      if (other->lets_return &&
          std::find(above.begin(), above.end(), other->number_) != above.end()) {
        ++to.seen_.returned;
      } else if (what == kind::reads && other->kind_ == kind::reads) {
        ++to.seen_.overlapped;
      } else {
        to.seen_.complain("turn " + std::to_string(number) + " of " + to.actor_ +
                          " begins beside turn " + std::to_string(other->number_));
      }
    }
    if (to.all_.empty()) {
      to.seen_.enters(to.actor_, to.activations_max_);
    }
    to.all_.push_back(this);
  }
  presence(const presence&) = delete;
  presence& operator=(const presence&) = delete;
  ~presence() {
    std::erase(visitors_.all_, this);
    if (visitors_.all_.empty()) {
      visitors_.seen_.leaves(visitors_.actor_);
    }
  }

  bool lets_return = false;  ///< It waits for calls in a scope of `allow_reentry`.

private:
  visitors& visitors_;
  const kind kind_;
  const std::uint64_t number_;
};

}  // namespace torture
