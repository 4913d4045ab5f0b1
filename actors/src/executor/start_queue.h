// SPDX-License-Identifier: MIT
// Start queue: which attempts of one executor hold a slot, and which wait for one.
//
// A pure core. A slot is held only while a process lives: the next attempt starts when one has
// exited, not when its result is stored. The order is the pool's: priority, then its grants. Those
// that start together have their slots kept from their grants on: each may be ready at another
// time, and what was granted ahead would come between.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::actors {

/// Threading: none of its own.
/// Cost: what waits is bounded by what the pool grants ahead, and is searched from end to end.
template <class Attempt>
class start_queue {
public:
  explicit start_queue(std::uint32_t slots) : slots_(slots) {}

  /// Does nothing if an attempt with this token waits already. `grant`: no other one's.
  void add(std::string token, std::uint32_t priority, std::uint64_t grant, Attempt attempt) {
    if (find(token) == waiting_.end()) {
      // Negated: the highest first.
      waiting_.emplace(std::pair{-std::int64_t{priority}, grant},
                       entry{std::move(token), std::move(attempt)});
    }
  }

  /// Keeps a slot for an attempt that may be added later, until it is the `next`, or `forget`.
  void reserve(std::string token) { reserved_.insert(std::move(token)); }
  /// It needs none any more; false if none was kept for it.
  bool forget(const std::string& token) { return reserved_.erase(token) == 1; }

  /// The attempt to start now, which takes a slot; nothing if none waits that may have one.
  [[nodiscard]] std::optional<Attempt> next() {
    if (taken_ >= slots_) {
      return std::nullopt;
    }
    const auto is_any_free = taken_ + reserved_.size() < slots_;
    const auto first = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& each) {
      return is_any_free || reserved_.contains(each.second.token);
    });
    if (first == waiting_.end()) {
      return std::nullopt;
    }
    ++taken_;
    forget(first->second.token);
    return std::move(waiting_.extract(first).mapped().attempt);
  }

  /// An attempt that had started has ended, or could not start.
  void free_slot() { --taken_; }

  /// Takes out an attempt that waits; nothing if it does not.
  [[nodiscard]] std::optional<Attempt> remove(std::string_view token) {
    const auto at = find(token);
    return at != waiting_.end() ? std::optional{std::move(waiting_.extract(at).mapped().attempt)}
                                : std::nullopt;
  }

private:
  struct entry {
    std::string token;
    Attempt attempt;
  };

  auto find(std::string_view token) {
    return std::find_if(waiting_.begin(), waiting_.end(),
                        [token](const auto& each) { return each.second.token == token; });
  }

  std::uint32_t slots_;
  std::uint32_t taken_ = 0;
  std::set<std::string, std::less<>> reserved_;
  std::map<std::pair<std::int64_t, std::uint64_t>, entry> waiting_;
};

}  // namespace millrace::actors
