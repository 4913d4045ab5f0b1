// SPDX-License-Identifier: MIT
// Layers: where the options of a command may come from besides its command line.
#pragma once

#include "cli/command.h"

namespace millrace::gateway::cli {

/// `--config`: a command with it takes its options from the environment and a file, too.
void add_config_option(boost::program_options::options_description& options);

/// Adds to `values`, where they have nothing yet: variables `MILLRACE_NAME_OF_THE_OPTION`, then
/// what the file of `--config` says, as `name-of-the-option: value`. Does nothing for a command
/// without that option. Errors: `invalid_argument`, `not_found`, with the place of the mistake.
[[nodiscard]] runtime::result<void> store_layers(
    const boost::program_options::options_description& options, option_values& values);

}  // namespace millrace::gateway::cli
