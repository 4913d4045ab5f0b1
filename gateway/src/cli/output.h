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

/// How rows are shown.
struct output_style {
  // NOLINTNEXTLINE(google-explicit-constructor): a form is a style
  output_style(output_form shown) : form(shown) {}
  output_form form;
  bool has_titles = true;       ///< A table's first line.
  std::size_t columns_max = 0;  ///< Of a table's lines; 0: they are as long as they are.
};

/// `-o`.
void add_output_option(boost::program_options::options_description& options);

/// `-o` and `--no-headers`, of a command that prints rows.
void add_rows_options(boost::program_options::options_description& options);

/// Errors: `invalid_argument` for a word that is no form.
[[nodiscard]] runtime::result<output_form> form_of(const option_values& options);

/// As the options have it; a table on a terminal is no wider than that. Errors: as `form_of`.
[[nodiscard]] runtime::result<output_style> style_of(const option_values& options);

/// Rows, as a table under these columns. As names: each one's `name_key`.
void print_rows(const output_style& style, const ordered_json& rows,
                std::vector<std::string> columns, const std::string& name_key = "id");

/// An object; as a table, a line a key.
void print_one(output_form form, const ordered_json& object, const std::string& name_key = "id");

}  // namespace millrace::gateway::cli
