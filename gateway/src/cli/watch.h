// SPDX-License-Identifier: MIT
// Following a run on a server to its end.
#pragma once

#include <string>

#include "cli/progress.h"
#include "cli/remote.h"

namespace millrace::gateway::cli {

/// Shows the events of `run` until it ends, over broken connections too. How it ended.
[[nodiscard]] exit_code watch(remote& server, const std::string& run, progress_mode mode);

}  // namespace millrace::gateway::cli
