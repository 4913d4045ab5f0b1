// SPDX-License-Identifier: MIT
// Selection: a run of some tasks of a pipeline alone.
//
// What is named runs, and what that needs, directly or not; whatever else there is, is skipped.
// Hooks follow what they belong to: those of a task that is skipped are skipped with it, and those
// of the pipeline follow the end of the run as ever, since they tidy up after what has run.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/definition.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// Why a task is skipped that was not selected, for a person.
inline constexpr std::string_view not_selected = "not asked for (`only`)";

/// By task, whether it may run; empty when `only` is: all may.
///
/// Requires: a definition from the loader. Cost: O(tasks + edges).
/// Errors: `invalid_argument` for a name that is no task's (with a suggestion), or that of a hook.
[[nodiscard]] runtime::result<std::vector<bool>> select_tasks(const pipeline_definition& definition,
                                                              const std::vector<std::string>& only);

/// The tasks that may run and that no other which may needs, without hooks: what their commands
/// write is the answer of a run, for whoever started it. Requires: what select_tasks answers.
[[nodiscard]] std::set<std::string, std::less<>> last_tasks(const pipeline_definition& definition,
                                                            const std::vector<bool>& selected);

}  // namespace millrace::actors
