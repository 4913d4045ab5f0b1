// SPDX-License-Identifier: MIT
// Following the logs of a whole run.
#pragma once

#include <cstddef>
#include <string>

#include "cli/remote.h"
#include "cli/run_logs.h"

namespace millrace::gateway::cli {

/// The outputs that are read at a time, each by a connection of its own: two of an attempt.
inline constexpr std::size_t followed_outputs_max = 64;

/// Prints what the attempts that have ended wrote, as `print_logs` does, then each line of the
/// others when it is whole, until `run` has ended. Of the tasks, attempts and streams that `what`
/// wants; of more outputs than `followed_outputs_max` some come once others have ended, whole all
/// the same. Requires: `what` wants no times.
[[nodiscard]] exit_code follow_run_logs(remote& server, const std::string& run,
                                        const log_request& what);

}  // namespace millrace::gateway::cli
