// SPDX-License-Identifier: MIT
// Parameters: type, default, choices.
#include <algorithm>
#include <array>

#include "definition/shape.h"
#include "millrace/actors/params.h"

namespace millrace::actors {

namespace {

// In the order of `param_type`.
constexpr std::array param_type_words{std::string_view{"string"}, std::string_view{"int"},
                                      std::string_view{"float"}, std::string_view{"bool"}};

// Whether a value may stand where a parameter of `type` is wanted; integers fit floats.
std::optional<value> fitted(const value& content, param_type type) {
  switch (type) {
    case param_type::text:
      return content.text() != nullptr ? std::optional{content} : std::nullopt;
    case param_type::integer:
      return content.integer() != nullptr ? std::optional{content} : std::nullopt;
    case param_type::floating:
      if (const auto* whole = content.integer()) {
        return make_value(static_cast<double>(*whole));
      }
      return content.floating() != nullptr ? std::optional{content} : std::nullopt;
    case param_type::boolean:
      return content.boolean() != nullptr ? std::optional{content} : std::nullopt;
  }
  return std::nullopt;
}

param_type type_of(const value& content) {
  switch (content.type()) {
    case value_type::integer:
      return param_type::integer;
    case value_type::floating:
      return param_type::floating;
    case value_type::boolean:
      return param_type::boolean;
    default:
      return param_type::text;
  }
}

std::optional<value> read_fitting(shape_context& to, const cursor& where, const value& content,
                                  param_type type) {
  auto found = fitted(content, type);
  if (!found) {
    to.in.report(where,
                 where.label() + " must be of type `" + std::string{to_string(type)} + "`, found " +
                     describe(*where.node),
                 type == param_type::text ? "put it in quotes" : "");
  }
  return found;
}

void read_choices(shape_context& to, const cursor& where, param_definition& into) {
  if (where.node->kind != yaml_kind::sequence || where.node->items.empty()) {
    to.in.report_type(where, "a list of values", "write `enum: [small, large]`");
    return;
  }
  for (const auto& each : to.in.elements(where)) {
    if (const auto content = to.in.read_scalar(each, "a value")) {
      if (auto choice = read_fitting(to, each, *content, into.type)) {
        into.choices.push_back(*std::move(choice));
      }
    }
  }
}

// The default and the type: one may follow from the other.
void read_type_and_default(shape_context& to, const field_map& fields, param_definition& into) {
  std::optional<param_type> type;
  if (const auto word = fields.at("type")) {
    if (const auto found = to.in.read_word(*word, param_type_words)) {
      type = static_cast<param_type>(*found);
    }
  }
  if (const auto fallback = fields.at("default")) {
    if (const auto content = to.in.read_scalar(*fallback, "a value")) {
      type = type ? type : type_of(*content);
      into.fallback = read_fitting(to, *fallback, *content, *type);
    }
    if (into.required) {
      to.in.report(*fallback, "a required parameter has no use for a default",
                   "remove `required` or `default`");
    }
  }
  into.type = type.value_or(param_type::text);
}

param_definition read_param(shape_context& to, const cursor& where) {
  param_definition made;
  made.name = where.key->text;
  if (where.node->kind == yaml_kind::scalar) {  // `day: today`: the default alone
    if ((made.fallback = to.in.read_scalar(where, "a value"))) {
      made.type = type_of(*made.fallback);
    }
    return made;
  }
  const auto fields = read_fields(to, where, "a map or a default",
                                  "write `" + made.name + ": {type: string}`", param_keys());
  if (!fields) {
    return made;
  }
  read_text(to, fields->at("description"), made.description);
  if (const auto required = fields->at("required")) {
    made.required = to.in.read_bool(*required).value_or(false);
  }
  read_type_and_default(to, *fields, made);
  if (const auto choices = fields->at("enum")) {
    read_choices(to, *choices, made);
  }
  if (made.fallback && !made.choices.empty() &&
      std::find(made.choices.begin(), made.choices.end(), *made.fallback) == made.choices.end()) {
    to.in.report(*fields->at("default"), "the default is not in `enum`", "add it there");
  }
  return made;
}

}  // namespace

void read_params(shape_context& to, const cursor& where) {
  const auto entries =
      to.in.read_map(where, "a map", "write `params: {day: {type: string, default: today}}`");
  if (entries && entries->size() > definition_params_max) {
    to.in.report(where,
                 "a pipeline has at most " + std::to_string(definition_params_max) + " parameters",
                 "pass the name of a file");
    return;
  }
  std::map<std::string, std::string> twins;
  for (const auto& [key, content] : entries.value_or(map_entries{})) {
    check_key_name(to, where, *key, name_rule::field);
    const auto here = under(where, *key, *content);
    check_variable(to, here, param_variable(key->text), twins);
    to.out.definition.params.push_back(read_param(to, here));
  }
}

}  // namespace millrace::actors
