// SPDX-License-Identifier: MIT
// `-o`: the forms in which data goes to standard output.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "millrace/runtime/result.h"

namespace millrace::gateway::cli {

using nlohmann::ordered_json;  // the schemas' order

enum class output_form : std::uint8_t {
  table,
  wide,  ///< A table of everything that the rows have.
  json,
  jsonl,
  yaml,
  name,  ///< What a next command takes.
};
[[nodiscard]] constexpr bool is_table(output_form form) noexcept {
  return form == output_form::table || form == output_form::wide;
}

void add_output_option(boost::program_options::options_description& options);

/// Errors: `invalid_argument` for a word that is no form.
[[nodiscard]] runtime::result<output_form> form_of(const option_values& options);

/// Rows, as a table under these columns. `name_key`: what `-o name` prints.
void print_rows(output_form form, const ordered_json& rows, std::vector<std::string> columns,
                const std::string& name_key);

/// An object; as a table, a line a key.
void print_one(output_form form, const ordered_json& object, const std::string& name_key);

}  // namespace millrace::gateway::cli
