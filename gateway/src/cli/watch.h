// SPDX-License-Identifier: MIT
// Following a run on a server to its end.
#pragma once

#include <optional>
#include <string>

#include "cli/progress.h"
#include "cli/remote.h"

namespace millrace::gateway::cli {

/// `--timeout` of a command that waits.
void add_timeout_option(boost::program_options::options_description& options);

/// Errors: `invalid_argument`.
[[nodiscard]] runtime::result<std::optional<runtime::duration>> timeout_of(
    const option_values& options);

/// Shows the events of `run` until it ends, and over restarts of the server too (see
/// `reconnects`), but no longer than `timeout`. How it ended.
[[nodiscard]] exit_code watch(remote& server, const std::string& run, progress_mode mode,
                              std::optional<runtime::duration> timeout);

}  // namespace millrace::gateway::cli
