// SPDX-License-Identifier: MIT
// Start queue: which attempts of one executor hold a slot, and which wait for one.
//
// A pure core. A slot is held only while a process lives: the next attempt starts when one has
// exited, not when its result is stored. The order is the pool's: priority, then its grants.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
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

  /// The attempt to start now, which takes a slot; nothing if none waits or all slots are taken.
  [[nodiscard]] std::optional<Attempt> next() {
    if (waiting_.empty() || taken_ >= slots_) {
      return std::nullopt;
    }
    ++taken_;
    return std::move(waiting_.extract(waiting_.begin()).mapped().attempt);
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
  std::map<std::pair<std::int64_t, std::uint64_t>, entry> waiting_;
};

}  // namespace millrace::actors
