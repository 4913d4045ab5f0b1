// SPDX-License-Identifier: MIT
#include "definition/param_values.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "definition/message_text.h"
#include "definition/scalar_text.h"
#include "definition/value_json.h"

namespace millrace::actors {
namespace {

constexpr std::size_t shown_bytes = 60;

std::string in_quotes(std::string_view text) {
  return "`" + one_line(text, shown_bytes) + "`";
}

std::string found(const value& given) {
  return given.is_null() ? "found null"
                         : "found the " + std::string{to_string(given.type())} + " " +
                               in_quotes(to_text(given));
}

param_reading misfit(const param_definition& param, const std::string& what, std::string hint) {
  return {std::nullopt, "", "must be of type `" + std::string{to_string(param.type)} + "`, " + what,
          std::move(hint)};
}

std::string hint_for(param_type type) {
  switch (type) {
    case param_type::text:
      return "put it in quotes";
    case param_type::list:
      return "write a list of strings, numbers, booleans or maps of these: `[\"a\", \"b\"]`";
    case param_type::map:
      return "write a map of strings, numbers or booleans: `{\"a\": 1}`";
    default:
      return {};
  }
}

bool is_scalar(const value& content) {
  return !content.is_null() && content.items() == nullptr && content.entries() == nullptr;
}

using element_place = std::pair<std::string, const value*>;

// The first value in a map that is no scalar, as JSON pointer and value.
std::optional<element_place> first_bad(const value::map& entries) {
  const auto bad = std::find_if(entries.begin(), entries.end(),
                                [](const auto& each) { return !is_scalar(each.second); });
  return bad == entries.end()
             ? std::nullopt
             : std::optional{element_place{pointer_step(bad->first), &bad->second}};
}

// The same in a list, which may hold records, or a map.
std::optional<element_place> first_bad(const value& content) {
  const auto* items = content.items();
  for (std::size_t at = 0; items != nullptr && at < items->size(); ++at) {
    const auto& each = (*items)[at];
    const auto place = pointer_step(std::to_string(at));
    if (const auto* record = each.entries()) {
      if (auto bad = first_bad(*record)) {
        return element_place{place + bad->first, bad->second};
      }
    } else if (!is_scalar(each)) {
      return element_place{place, &each};
    }
  }
  const auto* entries = content.entries();
  return entries != nullptr ? first_bad(*entries) : std::nullopt;
}

bool fits_type(const value& content, param_type type) {
  switch (type) {
    case param_type::text:
      return content.text() != nullptr;
    case param_type::integer:
      return content.integer() != nullptr;
    case param_type::floating:
      return content.floating() != nullptr;
    case param_type::boolean:
      return content.boolean() != nullptr;
    case param_type::list:
      return content.items() != nullptr;
    case param_type::map:
      return content.entries() != nullptr;
  }
  return false;
}

// A number that a person wrote where one is wanted.
param_reading read_number(const param_definition& param, const std::string& text) {
  const bool whole = param.type == param_type::integer;
  if (is_integer_text(text)) {
    std::int64_t number = 0;
    const auto failure = std::from_chars(text.data(), text.data() + text.size(), number).ec;
    if (failure == std::errc{}) {
      return read_param_value(param, make_value(number));
    }
  }
  if (const auto number = whole ? std::nullopt : float_of(text)) {
    return {make_value(*number), "", "", ""};
  }
  if (is_beyond_numbers(text)) {
    return misfit(param, in_quotes(text) + " does not fit 64 bits", "");
  }
  if (is_ambiguous(text) && text.find_first_of("0123456789") != std::string::npos) {
    return misfit(param, in_quotes(text) + " can be read in two ways",
                  "write a plain decimal number; a text keeps its zeros: `type: string`");
  }
  return misfit(param, "found " + in_quotes(text), "");
}

// JSON that a person wrote where a list or map is wanted.
param_reading read_json(const param_definition& param, const std::string& text) {
  const bool list = param.type == param_type::list;
  const auto json = parse_json(text);
  if (!json || (list ? !json->is_array() : !json->is_object())) {
    const auto example = list ? R"('["a", "b"]')" : R"('{"a": 1}')";
    return misfit(param, "found " + in_quotes(text) + (json ? "" : ": " + json.error().text()),
                  "write it as JSON: `-p " + param.name + "=" + example + "`, or `-p " +
                      param.name + "=@FILE`");
  }
  return read_param_value(param, from_json_value(*json));
}

bool holds_nul(const value& content) {
  if (const auto* text = content.text()) {
    return text->find('\0') != std::string::npos;
  }
  if (const auto* items = content.items()) {
    return std::any_of(items->begin(), items->end(), holds_nul);
  }
  const auto* entries = content.entries();
  return entries != nullptr && std::any_of(entries->begin(), entries->end(), [](const auto& each) {
           return each.first.find('\0') != std::string::npos || holds_nul(each.second);
         });
}

// What `enum` does not have: the value, or the first such element of a list.
const value* find_stranger(const param_definition& param, const value& content) {
  const auto known = [&](const value& each) {
    return std::find(param.choices.begin(), param.choices.end(), each) != param.choices.end();
  };
  if (param.choices.empty()) {
    return nullptr;
  }
  if (const auto* items = content.items()) {
    const auto first = std::find_if_not(items->begin(), items->end(), known);
    return first == items->end() ? nullptr : &*first;
  }
  return known(content) ? nullptr : &content;
}

}  // namespace

param_reading read_param_value(const param_definition& param, value given) {
  if (param.type == param_type::floating && given.integer() != nullptr) {
    given = make_value(static_cast<double>(*given.integer()));
  }
  if (!fits_type(given, param.type)) {
    return misfit(param, found(given), hint_for(param.type));
  }
  if (const auto bad = first_bad(given)) {
    auto refused =
        misfit(param, found(*bad->second) + " at `" + bad->first + "`", hint_for(param.type));
    refused.place = bad->first;
    return refused;
  }
  return {std::move(given), "", "", ""};
}

param_reading read_param_text(const param_definition& param, const std::string& text) {
  switch (param.type) {
    case param_type::text:
      return {make_value(text), "", "", ""};
    case param_type::integer:
    case param_type::floating:
      return read_number(param, text);
    case param_type::boolean:
      return text == "true" || text == "false"
                 ? param_reading{make_value(text == "true"), "", "", ""}
                 : misfit(param, "found " + in_quotes(text), "write `true` or `false`");
    case param_type::list:
    case param_type::map:
      return read_json(param, text);
  }
  return {};
}

param_reading check_param_value(const param_definition& param, value content) {
  if (to_text(content).size() > param_value_bytes_max) {
    return {std::nullopt, "", "is longer than 64 KiB", "pass the name of a file"};
  }
  if (holds_nul(content)) {
    return {std::nullopt, "", "holds a NUL character", ""};
  }
  const auto* stranger = find_stranger(param, content);
  if (stranger == nullptr) {
    return {std::move(content), "", "", ""};
  }
  std::string all;
  for (const auto& each : param.choices) {
    all += (all.empty() ? "`" : ", `") + to_text(each) + "`";
  }
  if (stranger == &content) {
    return {std::nullopt, "", (param.choices.size() == 1 ? "must be " : "must be one of ") + all,
            ""};
  }
  return {std::nullopt, pointer_step(std::to_string(stranger - content.items()->data())),
          "may hold only " + all + ", " + found(*stranger), ""};
}

}  // namespace millrace::actors
