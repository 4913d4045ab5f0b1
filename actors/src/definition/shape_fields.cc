// SPDX-License-Identifier: MIT
// What several parts of a definition have: names, texts, limits, environments.
#include <algorithm>

#include "definition/shape.h"
#include "millrace/actors/env_file.h"
#include "millrace/actors/expression.h"
#include "millrace/actors/name_rule.h"
#include "millrace/actors/process.h"

namespace millrace::actors {

namespace {

constexpr std::int64_t parallel_max = 100'000;
constexpr std::string_view reserved_prefix = "MILLRACE_";

}  // namespace

std::optional<field_map> read_fields(shape_context& to, const cursor& where,
                                     std::string_view wanted, std::string_view hint,
                                     const key_table& keys) {
  auto entries = to.in.read_map(where, wanted, hint);
  if (!entries) {
    return std::nullopt;
  }
  to.in.check_keys(where, *entries, keys);
  return field_map{where, *std::move(entries)};
}

void read_text(shape_context& to, const std::optional<cursor>& where, std::string& into) {
  if (where) {
    into = to.in.read_text(*where, "put the text in quotes").value_or("");
  }
}

void read_duration(shape_context& to, const std::optional<cursor>& where,
                   std::optional<runtime::duration>& into, zero_duration zero) {
  if (where) {
    into = to.in.read_duration(*where, zero);
  }
}

void read_size(shape_context& to, const cursor& where, std::uint64_t& into) {
  const auto text = to.in.read_written(where);
  if (!text) {
    return;
  }
  if (const auto bytes = parse_amount("memory", *text)) {
    into = *bytes;
  } else {
    to.in.report(where, "`" + shown_name(*text) + "` is no size", "write it like `100Mi` or `2G`");
  }
}

void read_time_limit(shape_context& to, const std::optional<cursor>& where,
                     std::optional<time_limit>& into, std::size_t task) {
  if (!where) {
    return;
  }
  into.reset();
  const auto& node = *where->node;
  if (node.kind == yaml_kind::scalar && has_expression(node.text)) {
    into = node.text;
    note_text(to, *where, node.text, task, text_place::limit);
  } else if (const auto length = to.in.read_duration(*where, zero_duration::refused)) {
    into = *length;
  }
}

void read_parallel(shape_context& to, const std::optional<cursor>& where,
                   std::optional<std::uint32_t>& into) {
  if (where) {
    if (const auto number = to.in.read_int(*where, 1, parallel_max, "write it like `4`")) {
      into = static_cast<std::uint32_t>(*number);
    }
  }
}

std::string read_name(shape_context& to, const cursor& where, name_rule rule) {
  auto name = to.in.read_text(where, "write it like `nightly-report`");
  if (name && !fits(*name, rule)) {
    to.in.report(where, "the name `" + shown_name(*name) + "` is not allowed",
                 std::string{words_of(rule)});
  }
  return std::move(name).value_or("");
}

cursor under(const cursor& map, const yaml_node& key, const yaml_node& content) {
  return {&content, &key, {&map.at, key.text, 0, false}};
}

void check_key_name(shape_context& to, const cursor& map, const yaml_node& key, name_rule rule) {
  if (!fits(key.text, rule)) {
    to.in.report(under(map, key, key), "the name `" + shown_name(key.text) + "` is not allowed",
                 std::string{words_of(rule)});
  }
}

void check_variable(shape_context& to, const cursor& here, std::string variable,
                    std::map<std::string, std::string>& twins) {
  const auto& name = here.key->text;
  const auto [twin, fresh] = twins.try_emplace(std::move(variable), name);
  if (!fresh) {
    to.in.report(here.key->place, here.pointer(),
                 "`" + name + "` and `" + twin->second + "` would both be `$" + twin->first + "`",
                 "rename one of them");
  }
}

std::map<std::string, std::string> read_env(shape_context& to, const cursor& where,
                                            std::size_t task) {
  std::map<std::string, std::string> env;
  const auto entries = to.in.read_map(where, "a map", "write `env: {NAME: value}`");
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    check_key_name(to, where, *key, name_rule::variable);
    const auto here = under(where, *key, *content);
    if (key->text.starts_with(reserved_prefix)) {
      to.in.report(key->place, here.pointer(), "variables that start with `MILLRACE_` are reserved",
                   "choose another name");
    }
    if (auto text = to.in.read_written(here)) {
      note_text(to, here, *text, task, text_place::hidden);
      const auto bytes = key->text.size() + 1 + text->size();
      if (!has_expression(*text) && bytes >= argument_bytes_max) {
        to.in.report(here,
                     "the variable has " + std::to_string(bytes) +
                         " bytes with its name; a program can be given at most " +
                         std::to_string(argument_bytes_max - 1) + " in one",
                     "write the text to a file first, and pass its name");
      }
      env[key->text] = *std::move(text);
    }
  }
  return env;
}

namespace {

constexpr std::string_view env_file_hint = "write `env_file: .env`, or a list of files";
constexpr std::size_t mistakes_told_max = 10;

// Texts of a file are no expressions.
std::string as_literal(const std::string& text) {
  std::string made;
  for (std::size_t at = 0; at < text.size(); ++at) {
    made += text.compare(at, 3, "${{") == 0 ? "$$" : std::string(1, text[at]);
  }
  return made;
}

void read_env_file(shape_context& to, const cursor& where,
                   std::map<std::string, std::string>& into) {
  const auto path = to.in.read_text(where, env_file_hint);
  if (!path) {
    return;
  }
  if (!to.out.files) {
    to.in.report(where, "`env_file` is read where the definition is written",
                 "apply it by `millrace apply`, or write `env`");
    return;
  }
  const auto text = to.out.files(*path);
  if (!text) {
    to.in.report(where, text.error().text(), "paths count from the definition's folder");
    return;
  }
  const auto read = parse_env_file(*text);
  std::size_t told = 0;
  const auto complain = [&](const std::string& what) {
    if (told++ < mistakes_told_max) {
      to.in.report(where, "`" + shown_name(*path) + "`, " + what);
    }
  };
  for (const auto& each : read.mistakes) {
    complain("line " + std::to_string(each.line) + ": " + each.text);
  }
  for (const auto& [name, value] : read.variables) {
    if (name.starts_with(reserved_prefix)) {
      complain(name + ": variables that start with `MILLRACE_` are reserved");
    } else if (name.size() + 1 + value.size() >= argument_bytes_max) {
      complain(name + ": with its name it has more bytes than a program can be given in one");
    } else {
      into[name] = as_literal(value);
    }
  }
}

}  // namespace

std::map<std::string, std::string> read_env_of(shape_context& to, const field_map& fields,
                                               std::size_t task) {
  std::map<std::string, std::string> env;
  if (const auto files = fields.at("env_file")) {
    if (files->node->kind == yaml_kind::sequence) {
      for (const auto& each : to.in.elements(*files)) {
        read_env_file(to, each, env);
      }
    } else {
      read_env_file(to, *files, env);
    }
  }
  if (const auto where = fields.at("env")) {
    auto own = read_env(to, *where, task);
    own.merge(env);
    return own;
  }
  return env;
}

void read_when(shape_context& to, const cursor& where, std::string& into, std::size_t task,
               text_place place, const std::string& example) {
  const auto text = to.in.read_text(where, "write `when: ${{ " + example + " }}`");
  if (!text) {
    return;
  }
  into = *text;
  const auto cut = parse_template(*text);
  const auto single = cut.pieces.size() == 1 && cut.pieces[0].formula;
  if (cut.failures.empty() && !single && *text != "true" && *text != "false") {
    const bool bare = !has_expression(*text) && parse_expression(*text).parsed;
    to.in.report(
        where, "`when` must be one expression, `true` or `false`",
        bare ? "write `when: ${{ " + *text + " }}`" : "write it like `${{ " + example + " }}`");
    return;
  }
  note_text(to, where, *text, task, place);
}

void note_text(shape_context& to, const cursor& where, const std::string& text, std::size_t task,
               text_place place) {
  const auto decides = place == text_place::when || place == text_place::webhook_when;
  if (decides || has_expression(text)) {
    to.out.expressions.push_back({where.node, text, where.pointer(), task, place});
  }
}

}  // namespace millrace::actors
