// SPDX-License-Identifier: MIT
// `millrace submit --batch`: a run for each line of a file.
#pragma once

#include <istream>
#include <string>

#include "cli/cli.h"
#include "cli/remote.h"

namespace millrace::gateway::cli {

/// Submits each line, in requests of at most `batch_lines_max`, and prints the runs in their order;
/// says on standard error which lines were refused and why. With `key` nothing is submitted twice
/// when it is done again; without one, not by what is repeated here after a connection broke.
/// Gives the code of the first refusal, if any.
exit_code submit_lines(remote& server, const std::string& pipeline, std::istream& lines,
                       std::string key);

/// As many as a server takes at once.
inline constexpr std::size_t batch_lines_max = 10'000;

}  // namespace millrace::gateway::cli
