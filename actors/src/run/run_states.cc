// SPDX-License-Identifier: MIT
#include "run/run_states.h"

#include <array>

namespace millrace::actors {

bool is_failure(task_state state) noexcept {
  return state == task_state::FAILED || state == task_state::ERRORED ||
         state == task_state::TIMED_OUT || state == task_state::LOST;
}

bool is_terminal(task_state state) noexcept {
  return is_failure(state) || state == task_state::SUCCEEDED || state == task_state::CANCELLED ||
         state == task_state::SKIPPED || state == task_state::UPSTREAM_FAILED;
}

std::string_view to_string(task_state state) noexcept {
  constexpr std::array<std::string_view, 12> words{
      "waiting", "queued",    "running",   "backing_off", "succeeded",       "failed",
      "errored", "timed_out", "cancelled", "skipped",     "upstream_failed", "lost"};
  const auto at = static_cast<std::size_t>(state);
  return at < words.size() ? words[at] : "unknown";
}

std::string_view to_string(run_state state) noexcept {
  constexpr std::array<std::string_view, 5> words{"running", "succeeded", "failed", "cancelled",
                                                  "timed_out"};
  const auto at = static_cast<std::size_t>(state);
  return at < words.size() ? words[at] : "unknown";
}

}  // namespace millrace::actors
