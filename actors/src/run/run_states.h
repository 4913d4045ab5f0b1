// SPDX-License-Identifier: MIT
// The states of runs and tasks: which end one, which are failures, how they are spelled.
#pragma once

#include <string_view>

#include "millrace/pipeline.capnp.h"

namespace millrace::actors {

using task_state = schemas::TaskState;
using run_state = schemas::RunState;

[[nodiscard]] bool is_terminal(task_state state) noexcept;
/// failed, errored, timed_out or lost.
[[nodiscard]] bool is_failure(task_state state) noexcept;
/// `timed_out`, as expressions and texts spell it.
[[nodiscard]] std::string_view to_string(task_state state) noexcept;
[[nodiscard]] std::string_view to_string(run_state state) noexcept;

}  // namespace millrace::actors
