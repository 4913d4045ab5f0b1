// SPDX-License-Identifier: MIT
// The files of definitions that a command is given, and what it tells of each.
#pragma once

#include <string>
#include <vector>

#include "cli/output.h"

namespace millrace::gateway::cli {

/// The files that are named, and of each folder the definitions in it, by name. Errors:
/// `invalid_argument` for a folder without any.
[[nodiscard]] runtime::result<std::vector<std::string>> definitions_in(
    const std::vector<std::string>& names);

/// Prints a row for each; as a table, nothing. JSON and YAML are a list only if the command was
/// given several: `is_list`.
void print_told(output_form form, const ordered_json& rows, bool is_list,
                const std::string& name_key = "id");

}  // namespace millrace::gateway::cli
