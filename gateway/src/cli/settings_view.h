// SPDX-License-Identifier: MIT
// `config view`: the settings of a command that serves, and where each comes from.
#pragma once

#include "cli/layers.h"

namespace millrace::gateway::cli {

/// Prints what `settings`, the options of the command, are; `values` may hold `-o` beside them. A
/// default is told in the words of the help, a password not at all. A value of the node that the
/// command would refuse is printed, too, and then reported in the same words.
[[nodiscard]] exit_code view_settings(const boost::program_options::options_description& settings,
                                      const option_values& values, const option_origins& origins);

}  // namespace millrace::gateway::cli
