// SPDX-License-Identifier: MIT
// What a command runs in: its shell, its directory, what it gets in a file.
#include <algorithm>
#include <filesystem>

#include "definition/shape.h"
#include "millrace/actors/expression.h"
#include "millrace/actors/process.h"

namespace millrace::actors {

namespace {

constexpr std::size_t input_depth_max = 32;  // below that of the JSON that it becomes
constexpr const char* shell_hint =
    "write `sh`, `bash`, or a list that the text comes after: `[bash, -euo, pipefail, -c]`";

// Nothing for a word that is no name.
std::vector<std::string> shell_named(std::string_view name) {
  if (name == "sh") {
    return {"/bin/sh", "-e", "-c"};
  }
  return name == "bash" ? std::vector<std::string>{"bash", "-e", "-o", "pipefail", "-c"}
                        : std::vector<std::string>{};
}

void read_workdir(shape_context& to, const cursor& where, task_definition& made, std::size_t task) {
  const auto text = to.in.read_text(where, "write `workdir: build`");
  if (!text) {
    return;
  }
  made.workdir = *text;
  note_text(to, where, *text, task);
  if (const auto why = has_expression(*text) ? std::string{} : refusal_of_workdir(*text);
      !why.empty()) {
    to.in.report(where, "`workdir` " + why, "write `workdir: build`, or an absolute path");
  }
}

// A value as it is written, with the texts in it noted.
std::optional<value> read_input(shape_context& to, const cursor& where, std::size_t task,
                                text_place place, std::size_t depth = 1) {
  if (depth > input_depth_max) {
    to.in.report(where, "the input nests deeper than " + std::to_string(input_depth_max));
    return std::nullopt;
  }
  switch (where.node->kind) {
    case yaml_kind::sequence: {
      value::list items;
      for (const auto& each : to.in.elements(where)) {
        items.push_back(read_input(to, each, task, place, depth + 1).value_or(value{}));
      }
      return make_value(std::move(items));
    }
    case yaml_kind::map: {
      value::map entries;
      const auto read = to.in.read_map(where, "a map", "");
      for (const auto& [key, content] : read.value_or(map_entries{})) {
        entries[key->text] =
            read_input(to, under(where, *key, *content), task, place, depth + 1).value_or(value{});
      }
      return value{std::move(entries)};
    }
    default:
      break;
  }
  auto content = to.in.read_scalar(where, "a value");
  if (content && content->text() != nullptr) {
    note_text(to, where, *content->text(), task, place);
  }
  return content;
}

}  // namespace

std::string refusal_of_workdir(const std::string& text) {
  const std::filesystem::path path{text};
  if (text.empty()) {
    return "is empty";
  }
  if (text.find('\0') != std::string::npos) {
    return "has a NUL in it";
  }
  const auto climbs = path.is_relative() && std::find(path.begin(), path.end(), "..") != path.end();
  return climbs ? "'" + text + "' leads out of the workspace" : std::string{};
}

void read_shell(shape_context& to, const cursor& where, std::vector<std::string>& into) {
  std::vector<std::string> words;
  if (where.node->kind == yaml_kind::scalar) {
    words = shell_named(where.node->text);
    if (words.empty()) {
      to.in.report(where, "there is no shell `" + where.node->text + "`", shell_hint);
    }
  } else if (where.node->kind == yaml_kind::sequence && !where.node->items.empty()) {
    for (const auto& each : to.in.elements(where)) {
      const auto text = to.in.read_written(each);
      if (text && has_expression(*text)) {
        to.in.report(each, "an expression in `shell` is refused", shell_hint);
      }
      words.push_back(text.value_or(""));
    }
  } else {
    to.in.report_type(where, "a shell", shell_hint);
  }
  into = words == shell_named("sh") ? std::vector<std::string>{} : std::move(words);
}

void read_surroundings(shape_context& to, const field_map& fields, task_definition& made,
                       std::size_t task) {
  if (const auto workdir = fields.at("workdir")) {
    read_workdir(to, *workdir, made, task);
  }
  if (const auto inputs = fields.at("inputs")) {
    read_values(to, *inputs, "write `inputs: {files: ${{ params.files }}}`", name_rule::field,
                made.inputs, task, text_place::hidden);
  }
}

void read_values(shape_context& to, const cursor& where, std::string_view hint, name_rule rule,
                 std::map<std::string, value>& into, std::size_t task, text_place place) {
  const auto entries = to.in.read_map(where, "a map", hint);
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    check_key_name(to, where, *key, rule);
    if (auto read = read_input(to, under(where, *key, *content), task, place)) {
      into[key->text] = *std::move(read);
    }
  }
}

}  // namespace millrace::actors
