// SPDX-License-Identifier: MIT
// Run ids: UUIDs of version 7 (RFC 9562), which sort by the time they were made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// `0197a1b2-c3d4-7...`: 36 characters, lower case.
[[nodiscard]] std::string make_run_id(runtime::wall_time now, runtime::rng& random);

/// Makes ids that sort in the order in which they were made, also within a millisecond or where the
/// clock goes back: what follows the time in them counts (RFC 9562, 6.2, method 1). Not for several
/// threads at once.
class ascending_run_ids {
public:
  [[nodiscard]] std::string next(runtime::wall_time now);

private:
  runtime::rng random_;
  std::uint64_t latest_ms_ = 0;
  std::uint64_t count_ = 0;
};

[[nodiscard]] bool is_run_id(std::string_view text) noexcept;

}  // namespace millrace::actors
