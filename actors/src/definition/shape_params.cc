// SPDX-License-Identifier: MIT
// Parameters: type, default, choices.
#include <algorithm>
#include <array>

#include "definition/param_values.h"
#include "definition/shape.h"
#include "millrace/actors/params.h"

namespace millrace::actors {

namespace {

// In the order of `param_type`.
constexpr std::array param_type_words{std::string_view{"string"}, std::string_view{"int"},
                                      std::string_view{"float"},  std::string_view{"bool"},
                                      std::string_view{"list"},   std::string_view{"map"}};

constexpr std::string_view scalar_words = "a string, a number or a boolean";
constexpr std::string_view element_words = "a string, a number, a boolean or a map of these";

param_type type_of(const value& content) {
  switch (content.type()) {
    case value_type::integer:
      return param_type::integer;
    case value_type::floating:
      return param_type::floating;
    case value_type::boolean:
      return param_type::boolean;
    case value_type::list:
      return param_type::list;
    case value_type::map:
      return param_type::map;
    default:
      return param_type::text;
  }
}

// Of a map of scalars.
value read_entries(shape_context& to, const cursor& where) {
  value::map entries;
  for (const auto& [key, content] : to.in.entries(where)) {
    entries[key->text] =
        to.in.read_scalar(under(where, *key, *content), scalar_words).value_or(value{});
  }
  return make_value(std::move(entries));
}

std::optional<value> read_fitting(shape_context& to, const cursor& where, value content,
                                  const param_definition& param) {
  auto reading = read_param_value(param, content);
  if (!reading.content) {
    // An element that is no scalar has been reported at its own place.
    if (reading.place.empty()) {
      to.in.report(where,
                   where.label() + " must be of type `" + std::string{to_string(param.type)} +
                       "`, found " + describe(*where.node),
                   reading.hint);
    }
    return std::nullopt;
  }
  return std::move(reading.content);
}

// Of a list, the values that its elements may have.
void read_choices(shape_context& to, const cursor& where, param_definition& into) {
  if (into.type == param_type::map) {
    to.in.report(where, "`enum` has no meaning for a map", "remove it");
    return;
  }
  if (where.node->kind != yaml_kind::sequence || where.node->items.empty()) {
    to.in.report_type(where, "a list of values", "write `enum: [small, large]`");
    return;
  }
  for (const auto& each : to.in.elements(where)) {
    auto content = to.in.read_scalar(each, "a value");
    if (content && into.type != param_type::list) {
      content = read_fitting(to, each, *std::move(content), into);
    }
    if (content) {
      into.choices.push_back(*std::move(content));
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
    if (auto content = read_param_content(to, *fallback)) {
      into.type = type.value_or(type_of(*content));
      type = into.type;
      into.fallback = read_fitting(to, *fallback, *std::move(content), into);
    }
    if (into.required) {
      to.in.report(*fallback, "a required parameter has no use for a default",
                   "remove `required` or `default`");
    }
  }
  into.type = type.value_or(param_type::text);
}

// What a run that gives none would fail with.
void check_default(shape_context& to, const cursor& where, const param_definition& made) {
  if (made.fallback) {
    const auto reading = check_param_value(made, *made.fallback);
    if (!reading.content) {
      to.in.report(where, "the default " + reading.text, reading.hint);
    }
  }
}

param_definition read_param(shape_context& to, const cursor& where) {
  param_definition made;
  made.name = where.key->text;
  if (where.node->kind == yaml_kind::scalar || where.node->kind == yaml_kind::sequence) {
    if ((made.fallback = read_param_content(to, where))) {  // `day: today`: the default alone
      made.type = type_of(*made.fallback);
      check_default(to, where, made);
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
  if (const auto fallback = fields->at("default")) {
    check_default(to, *fallback, made);
  }
  return made;
}

}  // namespace

std::optional<value> read_param_content(shape_context& to, const cursor& where) {
  if (where.node->kind == yaml_kind::sequence) {
    value::list items;
    for (const auto& each : to.in.elements(where)) {
      items.push_back(each.node->kind == yaml_kind::map
                          ? read_entries(to, each)
                          : to.in.read_scalar(each, element_words).value_or(value{}));
    }
    return make_value(std::move(items));
  }
  if (where.node->kind == yaml_kind::map) {
    return read_entries(to, where);
  }
  return to.in.read_scalar(where, "a value");
}

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
