// SPDX-License-Identifier: MIT
// Outline: what a definition runs, task by task, before any of it has run.
#pragma once

#include <string>

#include "cli/output.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/params.h"

namespace millrace::gateway::cli {

/// The tasks in the order of the definition, each `{name, needs, instances, labels, run_on, when}`.
/// `instances` is null where only the run finds out how many there are; `labels` are empty without
/// a fan-out. `params` may lack what is required: lists that depend on it are unknown.
[[nodiscard]] ordered_json outline_of(const actors::pipeline_definition& definition,
                                      const actors::bound_params& params);

/// One of these as a line for a person: `count [3]  a; b; c  needs list`.
[[nodiscard]] std::string outline_line(const ordered_json& outlined,
                                       const actors::task_definition& task);

}  // namespace millrace::gateway::cli
