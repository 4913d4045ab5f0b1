// SPDX-License-Identifier: MIT
// `millrace top`: what a silo does, as rates between two looks at its figures.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/output.h"

namespace millrace::gateway::cli {

/// From two answers of `GET /api/v1/silo`: rates a second, quantiles of what happened between them;
/// types in the order of their calls, the busiest first. An earlier life of the server counts as
/// nothing. Errors: `unavailable` for what are no such answers.
[[nodiscard]] runtime::result<ordered_json> top_of(const ordered_json& before,
                                                   const ordered_json& after);

/// The same for people: a line for the silo, one for its storage, a table of its types.
[[nodiscard]] std::string top_text(const ordered_json& top);

void add_top_options(boost::program_options::options_description& options);
[[nodiscard]] exit_code run_top(const option_values& options,
                                const std::vector<std::string>& positional);

}  // namespace millrace::gateway::cli
