// SPDX-License-Identifier: MIT
// Run ids: UUIDs of version 7 (RFC 9562), which sort by the time they were made.
#pragma once

#include <string>
#include <string_view>

#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// `0197a1b2-c3d4-7...`: 36 characters, lower case.
[[nodiscard]] std::string make_run_id(runtime::wall_time now, runtime::rng& random);

[[nodiscard]] bool is_run_id(std::string_view text) noexcept;

}  // namespace millrace::actors
