// SPDX-License-Identifier: MIT
// Completion of commands and options in a shell: the commands, then the options of each, then
// files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace millrace::gateway::cli {

/// A script for `bash`, `zsh` or `fish`; nothing for another shell.
[[nodiscard]] std::optional<std::string> completion(std::string_view shell,
                                                    const std::vector<command>& commands);

}  // namespace millrace::gateway::cli
