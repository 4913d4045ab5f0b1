// SPDX-License-Identifier: MIT
#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

namespace millrace::gateway::cli {

namespace {

std::string cell_of(const ordered_json& row, const std::string& key) {
  if (!row.contains(key) || row[key].is_null()) {
    return "-";
  }
  const auto text = row[key].is_string() ? row[key].get<std::string>() : row[key].dump();
  return text.empty() ? "-" : text;
}

}  // namespace

void add_output_option(boost::program_options::options_description& options) {
  options.add_options()("output,o",
                        boost::program_options::value<std::string>()->value_name("FORM"),
                        "table (default), json, jsonl or name");
}

runtime::result<output_form> form_of(const option_values& options) {
  const auto word = text_of(options, "output", "table");
  constexpr std::pair<std::string_view, output_form> forms[] = {{"table", output_form::table},
                                                                {"json", output_form::json},
                                                                {"jsonl", output_form::jsonl},
                                                                {"name", output_form::name}};
  for (const auto& [name, form] : forms) {
    if (name == word) {
      return form;
    }
  }
  return runtime::error{runtime::errc::invalid_argument,
                        "-o '" + word + "': it must be table, json, jsonl or name"};
}

void print_rows(output_form form, const ordered_json& rows, const std::vector<std::string>& columns,
                const std::string& name_key) {
  if (form == output_form::json) {
    std::cout << rows.dump(2) << '\n';
    return;
  }
  if (form != output_form::table) {
    for (const auto& row : rows) {
      std::cout << (form == output_form::jsonl ? row.dump() : cell_of(row, name_key)) << '\n';
    }
    return;
  }
  std::vector<std::size_t> widths;
  for (const auto& column : columns) {
    auto width = column.size();
    for (const auto& row : rows) {
      width = std::max(width, cell_of(row, column).size());
    }
    widths.push_back(width);
  }
  const auto print = [&](const auto& text_of_column) {
    std::string line;
    for (std::size_t at = 0; at < columns.size(); ++at) {
      const std::string text = text_of_column(columns[at]);
      line += text + std::string(at + 1 == columns.size() ? 0 : widths[at] + 2 - text.size(), ' ');
    }
    std::cout << line << '\n';
  };
  print([](std::string column) {
    std::transform(column.begin(), column.end(), column.begin(), ::toupper);
    return column;
  });
  for (const auto& row : rows) {
    print([&](const std::string& column) { return cell_of(row, column); });
  }
}

void print_one(output_form form, const ordered_json& object, const std::string& name_key) {
  if (form == output_form::json || form == output_form::jsonl) {
    std::cout << object.dump(form == output_form::json ? 2 : -1) << '\n';
    return;
  }
  if (form == output_form::name) {
    std::cout << cell_of(object, name_key) << '\n';
    return;
  }
  for (const auto& [key, value] : object.items()) {
    if (value.is_structured()) {
      std::cout << key << ":\n" << value.dump(2) << '\n';
    } else {
      std::cout << fmt::format("{:<16}{}\n", key + ":", cell_of(object, key));
    }
  }
}

}  // namespace millrace::gateway::cli
