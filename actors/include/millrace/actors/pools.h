// SPDX-License-Identifier: MIT
// Pools: which executors an attempt may go to.
//
// An executor belongs to the pools that its operator names, and a task goes to one pool: it runs on
// an executor that belongs to it, and waits while there is none. Slots are the executor's: those of
// one that belongs to several pools are taken by whichever attempt of these comes first in order.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::actors {

/// That of tasks and of executors which name none.
inline constexpr std::string_view default_pool = "default";

/// What stands for every pool among those of an executor; no name of one.
inline constexpr std::string_view every_pool = "*";

/// The most pools of an executor.
inline constexpr std::size_t executor_pools_max = 16;

/// Names (name_rule::thing), and maybe `every_pool`.
using pool_names = std::set<std::string, std::less<>>;

/// Whether an executor of these pools belongs to the one.
[[nodiscard]] bool belongs(const pool_names& pools, std::string_view pool);

/// Reads `gpu,default`; empty for `default`.
/// Errors: `invalid_argument` for a name that is none or comes twice, or too many.
[[nodiscard]] runtime::result<pool_names> parse_pools(std::string_view text);

}  // namespace millrace::actors
