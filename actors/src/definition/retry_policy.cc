// SPDX-License-Identifier: MIT
#include "millrace/actors/retry_policy.h"

#include <algorithm>
#include <cmath>

#include "millrace/runtime/assert.h"

namespace millrace::actors {

bool may_retry(const retry_policy& policy, std::int32_t exit_code) {
  const auto names = [exit_code](const std::vector<std::uint8_t>& codes) {
    return std::find(codes.begin(), codes.end(), exit_code) != codes.end();
  };
  return (policy.on_exit.empty() || names(policy.on_exit)) && !names(policy.not_on_exit);
}

std::optional<runtime::duration> next_delay(const retry_policy& policy, std::uint32_t attempt,
                                            double fraction) {
  MILLRACE_ASSERT(attempt >= 1);
  MILLRACE_ASSERT(fraction >= 0.0 && fraction < 1.0);
  if (attempt >= policy.max_attempts) {
    return std::nullopt;
  }
  const auto longest = static_cast<double>(policy.max_delay.count());
  const auto first = static_cast<double>(policy.delay.count());
  // Zero first: 0 times the infinity of a large power is not a number.
  const double grown =
      first <= 0.0 ? 0.0 : std::min(longest, first * std::pow(policy.backoff, attempt - 1.0));
  const double shortened = grown * (1.0 - policy.jitter * fraction);
  const auto exact = static_cast<std::int64_t>(std::llround(shortened));
  return runtime::duration{std::min(exact, static_cast<std::int64_t>(policy.max_delay.count()))};
}

}  // namespace millrace::actors
