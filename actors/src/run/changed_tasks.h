// SPDX-License-Identifier: MIT
// Which results of a run do not hold for another version of its definition.
#pragma once

#include <set>
#include <string>

#include "millrace/actors/definition.h"

namespace millrace::actors {

/// The tasks of either that are not in the other, or in which they do something else: all that a
/// command gets, when it runs, and what counts as a success. How long, where and with which rank
/// among others it runs does not count. All of them where what all tasks get has changed. With them
/// come those of `also`, all that need one of them in `after`, and with any the hooks of the run,
/// which follow its end. Cost: O(tasks + edges).
[[nodiscard]] std::set<std::string> changed_tasks(const pipeline_definition& before,
                                                  const pipeline_definition& after,
                                                  std::set<std::string> also = {});

}  // namespace millrace::actors
