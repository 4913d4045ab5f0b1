// SPDX-License-Identifier: MIT
#include "cli/output.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <numeric>
#include <set>
#include <sstream>

#include "cli/terminal_text.h"

namespace millrace::gateway::cli {

namespace {

// What a person sees instead: times of the local zone in whole seconds. Other values inside are the
// user's own: parameters, outputs, definitions.
ordered_json for_people(const std::string& key, ordered_json value) {
  if (value.is_structured() && (key.empty() || key == "attempts")) {
    for (auto part = value.begin(); part != value.end(); ++part) {
      *part = for_people(value.is_object() ? part.key() : std::string{}, std::move(*part));
    }
  } else if (value.is_string() && key.ends_with("_at")) {
    value = local_time(value.get<std::string>());
  }
  return value;
}

std::string cell_of(const ordered_json& row, const std::string& key) {
  if (!row.contains(key) || row[key].empty()) {  // null is empty too
    return "-";
  }
  const auto text = row[key].is_string() ? row[key].get<std::string>() : row[key].dump();
  return text.empty() ? "-" : text;
}

constexpr std::pair<std::string_view, output_form> forms[] = {
    {"table", output_form::table}, {"wide", output_form::wide}, {"json", output_form::json},
    {"jsonl", output_form::jsonl}, {"yaml", output_form::yaml}, {"name", output_form::name}};
constexpr std::size_t gap_columns = 2;
constexpr std::size_t last_columns_min = 8;  // a table is no narrower than it can be read
constexpr const char* form_names = "table, wide, json, jsonl, yaml or name";

// Every key that a row has, in their order.
std::vector<std::string> keys_of(const ordered_json& rows) {
  std::vector<std::string> keys;
  for (const auto& row : rows) {
    for (const auto& [key, value] : row.items()) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        keys.push_back(key);
      }
    }
  }
  return keys;
}

// Whether a text means itself in YAML without quotes, whatever version reads it.
bool is_plain(const std::string& text) {
  static const std::set<std::string> reserved{"true", "false", "yes", "no", "on",
                                              "off",  "null",  "y",   "n"};
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !text.empty() && letter(text.front()) && !reserved.contains(text) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; });
}

// Whether a text of several lines can stand as it is: one line end at its end, nothing invisible.
bool is_block(const std::string& text) {
  return text.find('\n') != std::string::npos && text.front() != ' ' && text.front() != '\n' &&
         text.ends_with('\n') && !text.ends_with("\n\n") &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c == '\n' || (c >= 0x20 && c < 0x7f); });
}

// What follows a key or a dash, with its line end. A JSON text of a scalar is YAML too.
std::string yaml_of(const ordered_json& value, const std::string& indent) {
  if (value.is_string() && is_block(value.get_ref<const std::string&>())) {
    std::string text = " |\n";
    std::stringstream lines{value.get_ref<const std::string&>()};
    for (std::string line; std::getline(lines, line);) {
      text += (line.empty() ? "" : indent + line) + "\n";
    }
    return text;
  }
  if (!value.is_structured() || value.empty()) {
    const auto plain = value.is_string() && is_plain(value.get_ref<const std::string&>());
    return " " + (plain ? value.get<std::string>() : value.dump()) + "\n";
  }
  std::string text = "\n";
  for (const auto& [key, part] : value.items()) {
    const auto rest = yaml_of(part, indent + "  ");
    text += indent;
    if (!value.is_array()) {
      text.append(is_plain(key) ? key : ordered_json(key).dump()).append(":").append(rest);
    } else if (part.is_structured() && !part.empty()) {  // its first line stands behind the dash
      text.append("- ").append(rest, 1 + indent.size() + 2);
    } else {
      text.append("-").append(rest);
    }
  }
  return text;
}

// The last column is often text for people, which gives way where there is no room.
void fit_last_column(std::vector<std::vector<std::string>>& lines,
                     const std::vector<std::size_t>& widths, std::size_t columns_max) {
  const auto before = std::accumulate(widths.begin(), widths.end() - 1, std::size_t{0}) +
                      gap_columns * (widths.size() - 1);
  const auto room = std::max(columns_max - std::min(columns_max, before), last_columns_min);
  for (auto& line : lines) {
    line.back() = shortened(line.back(), room);
  }
}

void print_table(const output_style& style, const ordered_json& rows,
                 const std::vector<std::string>& columns) {
  std::vector<std::vector<std::string>> lines;
  if (style.has_titles) {
    auto& titles = lines.emplace_back();
    for (const auto& column : columns) {
      auto& title = titles.emplace_back(printable(column));
      std::transform(title.begin(), title.end(), title.begin(), ::toupper);
    }
  }
  for (const auto& row : rows) {
    const auto seen = for_people({}, row);
    auto& line = lines.emplace_back();
    for (const auto& column : columns) {
      line.push_back(printable(cell_of(seen, column)));
    }
  }
  std::vector<std::size_t> widths(columns.size());
  for (const auto& line : lines) {
    for (std::size_t at = 0; at < line.size(); ++at) {
      widths[at] = std::max(widths[at], columns_of(line[at]));
    }
  }
  if (style.columns_max > 0 && !widths.empty()) {
    fit_last_column(lines, widths, style.columns_max);
  }
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t at = 0; at < line.size(); ++at) {
      const auto gap = at + 1 == line.size() ? 0 : widths[at] + gap_columns - columns_of(line[at]);
      text += line[at] + std::string(gap, ' ');
    }
    std::cout << text << '\n';
  }
}

void print_yaml(const ordered_json& value) {
  std::cout << "---" << yaml_of(value, "");
}

}  // namespace

void add_output_option(boost::program_options::options_description& options) {
  static const auto help = std::string{form_names} + " (default: table)";
  options.add_options()(
      "output,o", boost::program_options::value<std::string>()->value_name("FORM"), help.c_str());
}

void add_rows_options(boost::program_options::options_description& options) {
  add_output_option(options);
  options.add_options()("no-headers", "a table without its line of titles");
}

runtime::result<output_style> style_of(const option_values& options) {
  const auto form = form_of(options);
  if (!form) {
    return form.error();
  }
  output_style style{*form};
  style.has_titles = options.count("no-headers") == 0;
  winsize size{};
  if (*form == output_form::table && ::isatty(STDOUT_FILENO) != 0 &&
      ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    style.columns_max = size.ws_col;
  }
  return style;
}

runtime::result<output_form> form_of(const option_values& options) {
  const auto word = text_of(options, "output", "table");
  for (const auto& [name, form] : forms) {
    if (name == word) {
      return form;
    }
  }
  return runtime::error{runtime::errc::invalid_argument,
                        "-o '" + word + "': it must be " + form_names};
}

void print_rows(const output_style& style, const ordered_json& rows,
                std::vector<std::string> columns, const std::string& name_key) {
  switch (style.form) {
    case output_form::json:
      std::cout << rows.dump(2) << '\n';
      return;
    case output_form::yaml:
      print_yaml(rows);
      return;
    case output_form::jsonl:
    case output_form::name:
      for (const auto& row : rows) {
        print_one(style.form, row, name_key);
      }
      return;
    case output_form::wide:
      columns = rows.empty() ? columns : keys_of(rows);
      break;
    case output_form::table:
      break;
  }
  print_table(style, rows, columns);
}

void print_one(output_form form, const ordered_json& object, const std::string& name_key) {
  if (form == output_form::json || form == output_form::jsonl) {
    std::cout << object.dump(form == output_form::json ? 2 : -1) << '\n';
    return;
  }
  if (form == output_form::yaml) {
    print_yaml(object);
    return;
  }
  if (form == output_form::name) {
    std::cout << cell_of(object, name_key) << '\n';
    return;
  }
  const auto seen = for_people({}, object);
  std::size_t width = 16;
  for (const auto& [key, value] : seen.items()) {
    width = value.is_structured() && !value.empty() ? width : std::max(width, key.size() + 2);
  }
  for (const auto& [key, value] : seen.items()) {
    if (value.is_structured() && !value.empty()) {
      std::cout << printable(key) << ':' << printable_lines(yaml_of(value, "  "));
    } else {
      std::cout << fmt::format("{:<{}}{}\n", printable(key) + ":", width,
                               printable(cell_of(seen, key)));
    }
  }
}

}  // namespace millrace::gateway::cli
