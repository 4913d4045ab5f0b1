// SPDX-License-Identifier: MIT
// Rows of runs and tasks, as people are shown them.
#pragma once

#include <string>
#include <vector>

#include "cli/output.h"
#include "cli/remote.h"

namespace millrace::gateway::cli {

/// Of a table of tasks.
[[nodiscard]] const std::vector<std::string>& task_columns();

/// Adds to a run, or a task, how long it took or has been going on, as `duration`; `state` says
/// whether a run has begun at all, and that a task has a kept result.
void complete_row(const remote& server, ordered_json& row);

}  // namespace millrace::gateway::cli
