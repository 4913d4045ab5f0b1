// SPDX-License-Identifier: MIT
// What was asked of the workers and what was answered, and whether what they hold in the end fits.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "torture/tour.h"

namespace torture {

enum class operation_kind : std::uint8_t {
  apply,
  relay,
  post,
  entrust,
  hand_on,
  remind,
  tick,
  linger,
  put,
  stumble,
  post_stumble,
  tour,
};

/// What the one who asked knows.
enum class knowledge : std::uint8_t {
  done,     ///< It was acknowledged.
  refused,  ///< It failed in a way that says it had no effect.
  unknown,  ///< Neither; also while it is under way.
};

/// One request; the numbers of its effects are its own.
struct operation {
  operation_kind kind = operation_kind::apply;
  std::string actor;
  std::string other_actor;      ///< Of `relay`, `post`, `entrust`, `hand_on`, `post_stumble`.
  std::uint64_t effect = 0;     ///< Made by `actor`; `effect + 1` by the other, reminder or timer.
  std::uint8_t way = 0;         ///< Of `stumble` and `post_stumble`, with `times`.
  std::uint32_t times = 0;      ///< How often it fails.
  bool pauses = false;          ///< Of `stumble`: between its effects.
  std::uint32_t chain = 0;      ///< Of `remind` and `tick`.
  std::string slot;             ///< Of `put`, with `value`.
  std::uint64_t value = 0;      ///< 0: erased.
  std::string idempotency_key;  ///< Of `apply` and `stumble`; may be asked several times then.
  stop route;                   ///< Of `tour`; of which `actor` is the first.
  std::uint64_t asked_at = 0;   ///< In answers and requests so far.
  std::uint64_t answered_at = 0;
  unsigned open = 0;      ///< Times asked and not answered.
  bool done = false;      ///< Acknowledged once at least.
  bool doubtful = false;  ///< Answered once at least by what may mean either.

  [[nodiscard]] knowledge known() const noexcept {
    return done ? knowledge::done : doubtful || open > 0 ? knowledge::unknown : knowledge::refused;
  }
};

/// What one worker holds.
struct worker_content {
  std::map<std::string, std::uint64_t> effects;
  std::map<std::string, std::uint64_t> slots;
  std::uint64_t total = 0;
  std::uint64_t gaps = 0;
};

/// Has `seen` complain with a line for each way in which `found` does not fit `asked`, once
/// everything stored has been delivered.
void check_history(const std::deque<operation>& asked,
                   const std::map<std::string, worker_content>& found, const witness& seen);

}  // namespace torture
