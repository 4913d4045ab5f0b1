// SPDX-License-Identifier: MIT
// Layers: where the options of a command may come from besides its command line.
#pragma once

#include <map>
#include <string>

#include "cli/command.h"

namespace millrace::gateway::cli {

/// `--config`: a command with it takes its options from the environment and a file, too.
void add_config_option(boost::program_options::options_description& options);

/// Whether a command has `--config`.
[[nodiscard]] bool has_settings(const command& one);

/// Whether an option of a command with `--config` may stand in its file.
[[nodiscard]] bool is_setting(std::string_view option);

/// Where an option has its value from, by its name: `command line`, `MILLRACE_NAME` or
/// `silo.yaml:3`. One that is not here has its default.
using option_origins = std::map<std::string, std::string>;

/// Adds to `values`, where they have nothing yet: variables `MILLRACE_NAME_OF_THE_OPTION`, then
/// what the file of `--config` says, as `name-of-the-option: value`. Adds nothing for a command
/// without that option. Errors: `invalid_argument`, `not_found`, with the place of the mistake.
[[nodiscard]] runtime::result<option_origins> store_layers(
    const boost::program_options::options_description& options, option_values& values);

}  // namespace millrace::gateway::cli
