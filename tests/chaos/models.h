// SPDX-License-Identifier: MIT
// Models: what the objects of the workloads are, and what their histories have to show.
//
// What stands before the first '/' of an event's key says which it is:
//   register  `write` v, `read` -> v, `cas` [from, to] -> {"swapped", "found"}; 0 at first; every
//             value is written once
//   set       `add` x, `read` -> [x...] in order; every x is added once
//   counter   `add` n -> total, `read` -> total; an add is one operation however often it is asked
//   list      `append` x, `read` -> [x...]; every x is appended once
//   purse     `transfer` {"to", "amount"}, and when nothing is under way `audit` -> {"balance",
//             "sent", "received", "twice"}, all but the first in transfers
//   run       `submit` -> run; in the end `outcome` of each run -> {"state", "tasks": [{"name",
//             "state", "attempts": [{"id", "end", "exit_code", "executor", "stdout_tail"}]}]}, and
//             `list` -> [run...]; a task `last` prints `first=N`, the attempt of the task `first`
//             that it got an output of
// The first four have to be linearizable, key by key.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chaos/linearizability.h"

namespace chaos {

inline constexpr std::int64_t opening_balance = 1'000;  ///< Of each purse.

struct report {
  std::vector<std::string> violations;  ///< Each with the key.
  std::vector<std::string> undecided;   ///< Keys whose search was given up.
  std::size_t keys = 0;
  std::size_t operations = 0;
  std::size_t unknown = 0;  ///< Operations that may have happened.
  [[nodiscard]] bool is_clean() const { return violations.empty() && undecided.empty(); }
};

/// Everything above.
[[nodiscard]] report check(const history& events, const search_limits& limits = {});

}  // namespace chaos
