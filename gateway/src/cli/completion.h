// SPDX-License-Identifier: MIT
// Completion of commands and options in a shell.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace millrace::gateway::cli {

/// A script for bash: the commands, then the options of each, then files.
[[nodiscard]] std::string bash_completion(const std::vector<command>& commands);

}  // namespace millrace::gateway::cli
