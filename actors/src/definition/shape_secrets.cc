// SPDX-License-Identifier: MIT
// `secrets`: which variables of a command are filled where it starts, and from where.
#include <array>
#include <string_view>

#include "definition/shape.h"
#include "millrace/actors/secret_value.h"

namespace millrace::actors {

namespace {

// In the order of `secret_source`.
constexpr std::array source_words{std::string_view{"file"}, std::string_view{"env"},
                                  std::string_view{"project"}};
constexpr std::string_view reserved_prefix = "MILLRACE_";
constexpr std::string_view example = "write `{from: project, key: api-token}`";

void check_key(shape_context& to, const cursor& where, const secret_definition& secret) {
  const auto blame = [&](std::string_view what, std::string_view hint) {
    to.in.report(where, "`key` " + std::string{what}, hint);
  };
  switch (secret.from) {
    case secret_source::file:
      if (!is_secret_path(secret.key)) {
        blame(
            "must be a path below the directory of secrets, found `" + shown_name(secret.key) + "`",
            "write it like `database/password`, without `..`");
      }
      break;
    case secret_source::environment:
      if (!fits(secret.key, name_rule::variable)) {
        blame("is the rest of a variable's name, found `" + shown_name(secret.key) + "`",
              words_of(name_rule::variable));
      } else if (secret.key.starts_with(secret_variable_prefix)) {
        blame("names the variable without `" + std::string{secret_variable_prefix} + "`",
              "write `" + secret.key.substr(secret_variable_prefix.size()) + "`");
      }
      break;
    case secret_source::project:
      if (!fits(secret.key, name_rule::field)) {
        blame("is the name of a secret of the project, which `" + shown_name(secret.key) +
                  "` cannot be",
              words_of(name_rule::field));
      }
      break;
  }
}

secret_definition read_secret(shape_context& to, const cursor& where) {
  secret_definition made;
  const auto fields = read_fields(to, where, "a map", example, secret_keys());
  if (!fields) {
    return made;
  }
  const auto from = fields->at("from");
  const auto key = fields->at("key");
  for (const auto* needed : {"from", "key"}) {
    if (!fields->at(needed)) {
      to.in.report(where, "the secret has no `" + std::string{needed} + "`", example);
    }
  }
  const auto source = from ? to.in.read_word(*from, source_words) : std::nullopt;
  if (source) {
    made.from = static_cast<secret_source>(*source);
  }
  if (key) {
    made.key = to.in.read_text(*key, "write `key: api-token`").value_or("");
    if (source && key->node->kind == yaml_kind::scalar) {
      check_key(to, *key, made);
    }
  }
  return made;
}

}  // namespace

secret_map read_secrets(shape_context& to, const cursor& where) {
  secret_map secrets;
  const auto entries =
      to.in.read_map(where, "a map", "write `secrets: {TOKEN: {from: project, key: api-token}}`");
  if (entries && entries->size() > definition_secrets_max) {
    to.in.report(where, "there are at most " + std::to_string(definition_secrets_max) + " secrets");
    return secrets;
  }
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    check_key_name(to, where, *key, name_rule::variable);
    const auto here = under(where, *key, *content);
    if (key->text.starts_with(reserved_prefix)) {
      to.in.report(key->place, here.pointer(), "variables that start with `MILLRACE_` are reserved",
                   "choose another name");
    }
    secrets[key->text] = read_secret(to, here);
  }
  return secrets;
}

void refuse_both(shape_context& to, const cursor& where, std::string_view other,
                 const std::function<bool(const std::string&)>& has) {
  if (where.node->kind != yaml_kind::map) {
    return;
  }
  for (const auto& [key, content] : to.in.entries(where)) {
    if (has(key->text)) {
      to.in.report(key->place, under(where, *key, *content).pointer(),
                   "`" + key->text + "` is in " + std::string{other} + " too",
                   "remove one of them");
    }
  }
}

}  // namespace millrace::actors
