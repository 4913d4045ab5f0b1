// SPDX-License-Identifier: MIT
// Attempt ledger: what one life of an executor knows of its attempts, whatever runs them.
//
// A pure core. It fences tickets, keeps every attempt from its ticket until it is acknowledged, and
// lets a command be given once:
//
//   taken -> waiting -> running -> ended -> (acknowledged: gone)
//     '--------'-- cancelled ------^
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/executor.h"

namespace millrace::actors {

/// Threading: none of its own. Cost: O(log n) in the attempts that are listed.
class attempt_ledger {
public:
  explicit attempt_ledger(std::uint64_t incarnation) : incarnation_(incarnation) {}

  /// One that an earlier life left, before anything else.
  void restore(std::string_view token, attempt_stage stage);

  /// The next life begins; what is listed is of an earlier one.
  void begin_life(std::uint64_t incarnation) { incarnation_ = incarnation; }
  /// Whether it is listed and was taken by this life.
  [[nodiscard]] bool is_of_this_life(std::string_view token) const;

  /// As `executor::take`, but for `unavailable`.
  [[nodiscard]] runtime::result<void> take(const attempt_ticket& ticket);

  /// The command of an attempt has come: it waits. Answers its ticket.
  /// Errors: those of `executor::start`, but for `unavailable`.
  [[nodiscard]] runtime::result<attempt_ticket> give(std::string_view token);

  /// It has got a slot. Requires: it waits or runs.
  void run(std::string_view token);
  /// It has ended, from any stage before. False when it had already, or is not listed.
  bool end(std::string_view token);
  /// Forgets it if it has ended; false when it has not, or is not listed.
  bool acknowledge(std::string_view token);

  [[nodiscard]] std::optional<attempt_stage> stage_of(std::string_view token) const;
  /// All, by token.
  [[nodiscard]] std::vector<listed_attempt> list() const;

private:
  struct entry {
    attempt_ticket ticket;
    attempt_stage stage = attempt_stage::taken;
  };

  std::uint64_t incarnation_;
  std::uint64_t last_grant_ = 0;
  std::map<std::string, entry, std::less<>> listed_;
};

}  // namespace millrace::actors
