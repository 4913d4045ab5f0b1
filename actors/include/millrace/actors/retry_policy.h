// SPDX-License-Identifier: MIT
// Retry policy: how often a task is tried and how long to wait between the tries.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// The most attempts a definition may ask for; one run record holds one row per attempt.
inline constexpr std::uint32_t retry_attempts_max = 1'000;

/// What happens to a task whose attempt may or may not have had its effect, because the silo that
/// ran it was lost.
enum class lost_attempt : std::uint8_t {
  start_again,  ///< A new attempt starts elsewhere; it is not counted as a failure.
  give_up,      ///< The task ends as `lost`, for a person to decide (`retry: never`).
};

/// When a failed task is tried again. The default is one attempt and no retry.
struct retry_policy {
  std::uint32_t max_attempts = 1;  ///< All attempts, the first included; 1 to retry_attempts_max.
  runtime::duration delay = std::chrono::seconds{1};  ///< Before the second attempt.
  double backoff = 2.0;  ///< Each further delay is this many times the one before; >= 1.
  runtime::duration max_delay = std::chrono::minutes{5};  ///< No delay is longer.
  double jitter = 0.1;  ///< Part of each delay that chance may take away; 0 to 1.
  lost_attempt on_lost = lost_attempt::start_again;
  std::vector<std::uint8_t> on_exit = {};      ///< A command is tried again only after one of these
                                               ///< exit codes; empty: after any.
  std::vector<std::uint8_t> not_on_exit = {};  ///< Never after one of these.

  friend bool operator==(const retry_policy&, const retry_policy&) = default;
};

/// Whether a command that has exited with `exit_code` may be tried again: 1 to 255, as a shell
/// tells it, which is 128 and the number of the signal that killed it.
[[nodiscard]] bool may_retry(const retry_policy& policy, std::int32_t exit_code);

/// The time from the end of attempt number `attempt`, which failed, to the start of the next one;
/// nothing when there is no next one.
///
/// min(max_delay, delay * backoff^(attempt - 1)) * (1 - jitter * fraction): exponential back-off,
/// shortened by chance so that tasks which failed together do not come back together, and never
/// longer than `max_delay`. Requires: attempt >= 1; fraction in [0, 1), from an `rng`.
[[nodiscard]] std::optional<runtime::duration> next_delay(const retry_policy& policy,
                                                          std::uint32_t attempt, double fraction);

}  // namespace millrace::actors
