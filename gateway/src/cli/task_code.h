// SPDX-License-Identifier: MIT
// `--exit-code-from`: a command that waits for a run ends as one of its tasks has.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cli/command.h"

namespace millrace::gateway::cli {

/// `--exit-code-from`.
void add_code_from_option(boost::program_options::options_description& options);

/// The instance that it names; empty: it is not given. Errors: `invalid_argument` for a task that
/// `definition` has not, or that has several instances, or runs no command.
[[nodiscard]] runtime::result<std::string> code_from(const option_values& options,
                                                     const actors::pipeline_definition& definition);

/// The exit code of the instance `name`, or 128 and the signal that ended it, in place of that of a
/// run that has ended; `of_run` where it has none or 0, and for what is no end. `task`: the
/// instance, or its latest attempt, as the API's JSON; empty: there is none, which of a run that
/// has succeeded is reported.
[[nodiscard]] exit_code code_of_task(exit_code of_run, const std::string& name,
                                     const nlohmann::ordered_json& task);

}  // namespace millrace::gateway::cli
