// SPDX-License-Identifier: MIT
// Following a run on a server to its end.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/follow.h"
#include "cli/progress.h"
#include "cli/remote.h"

namespace millrace::gateway::cli {

/// `--timeout` of a command that waits.
void add_timeout_option(boost::program_options::options_description& options);

/// Errors: `invalid_argument`.
[[nodiscard]] runtime::result<std::optional<runtime::duration>> timeout_of(
    const option_values& options);

/// Gives `to` the events of `run` from its first one on, until it has ended. False when `latest`
/// came first. Errors: why they cannot be followed to the end.
[[nodiscard]] runtime::result<bool> follow_events(
    remote& server, const std::string& run, waiting_note& note, runtime::steady_time latest,
    const std::function<void(const progress_event&)>& to);

/// Shows the events of `run` until it ends, and over restarts of the server too (see
/// `reconnects`), but no longer than `timeout`. How it ended.
[[nodiscard]] exit_code watch(remote& server, const std::string& run, progress_mode mode,
                              std::optional<runtime::duration> timeout);

}  // namespace millrace::gateway::cli
