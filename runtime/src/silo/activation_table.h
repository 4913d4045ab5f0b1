// SPDX-License-Identifier: MIT
// Activation table: the activations of one shard of the directory, by hash.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "millrace/runtime/ids.h"

namespace millrace::runtime::detail {

class activation;

/// Open addressing with linear probing: a look-up costs one miss of the cache, where a table of
/// nodes costs three. Hashes are uniform as they are. (Erasing: Knuth, TAOCP 3, 6.4, algorithm R.)
///
/// Ownership: of nothing. Threading: none. Cost: O(1); 24 bytes a place, of which at most three in
/// four and at least one in eight are taken.
class activation_table {
public:
  /// Null when it is not there.
  [[nodiscard]] activation* find(const actor_hash& hash) const noexcept {
    return places_.empty() ? nullptr : places_[place_of(hash)].one;
  }

  /// The activation, and whether `make()` has just made it.
  template <class Make>
  std::pair<activation*, bool> find_or_make(const actor_hash& hash, Make&& make) {
    if (4 * (size_ + 1) > 3 * places_.size()) {
      resize(places_.empty() ? places_min : 2 * places_.size());
    }
    auto& at = places_[place_of(hash)];
    if (at.one != nullptr) {
      return {at.one, false};
    }
    at = {hash, make()};
    ++size_;
    return {at.one, true};
  }

  /// No effect when it is not there.
  void erase(const actor_hash& hash) {
    if (find(hash) == nullptr) {
      return;
    }
    auto gap = place_of(hash);
    for (auto at = after(gap); places_[at].one != nullptr; at = after(at)) {
      // It moves into the gap unless its own place lies behind the gap.
      if (distance(home_of(places_[at].hash), at) >= distance(gap, at)) {
        places_[gap] = places_[at];
        gap = at;
      }
    }
    places_[gap] = {};
    if (--size_; places_.size() > places_min && 8 * size_ < places_.size()) {
      resize(places_.size() / 2);
    }
  }

  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& each : places_) {
      if (each.one != nullptr) {
        visit(*each.one);
      }
    }
  }

private:
  static constexpr std::size_t places_min = 16;  // a power of two, as every size

  struct place {
    actor_hash hash{};
    activation* one = nullptr;
  };

  [[nodiscard]] std::size_t home_of(const actor_hash& hash) const noexcept {
    return hash.low & (places_.size() - 1);
  }
  [[nodiscard]] std::size_t after(std::size_t at) const noexcept {
    return (at + 1) & (places_.size() - 1);
  }
  [[nodiscard]] std::size_t distance(std::size_t from, std::size_t to) const noexcept {
    return (to - from) & (places_.size() - 1);
  }
  // Where it is, or would be put. Requires: places.
  [[nodiscard]] std::size_t place_of(const actor_hash& hash) const noexcept {
    auto at = home_of(hash);
    while (places_[at].one != nullptr && places_[at].hash != hash) {
      at = after(at);
    }
    return at;
  }
  void resize(std::size_t count) {
    const auto old = std::exchange(places_, std::vector<place>(count));
    for (const auto& each : old) {
      if (each.one != nullptr) {
        places_[place_of(each.hash)] = each;
      }
    }
  }

  std::vector<place> places_;
  std::size_t size_ = 0;
};

}  // namespace millrace::runtime::detail
