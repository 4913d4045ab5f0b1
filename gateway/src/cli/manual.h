// SPDX-License-Identifier: MIT
// Manual pages, for man, from the table of commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace millrace::gateway::cli {

/// What the program's help says besides its commands.
struct program_words {
  std::string_view summary;  ///< One line, no full stop.
  std::string_view examples;
  std::string_view exit_codes;  ///< Sentences.
};

/// millrace(1): every command with its examples and options.
[[nodiscard]] std::string program_manual(const std::vector<command>& commands,
                                         const program_words& words);

/// millrace.yaml(5): the settings of the commands that take them from a file.
[[nodiscard]] std::string settings_manual(const std::vector<command>& commands);

}  // namespace millrace::gateway::cli
