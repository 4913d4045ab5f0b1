// SPDX-License-Identifier: MIT
// Scalars: by the strict rules of `scalar_text.h`, or as they were written.
#include <cctype>
#include <charconv>

#include "definition/message_text.h"
#include "definition/reader.h"
#include "definition/scalar_text.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {

std::string describe(const yaml_node& node) {
  switch (node.kind) {
    case yaml_kind::null:
      return "nothing";
    case yaml_kind::sequence:
      return node.items.empty() ? "an empty list" : "a list";
    case yaml_kind::map:
      return node.items.empty() ? "an empty map" : "a map";
    case yaml_kind::scalar:
      break;
  }
  const bool number = is_integer_text(node.text) || float_of(node.text);
  const bool boolean = node.text == "true" || node.text == "false";
  if (!node.plain && (number || boolean)) {
    return "the text `\"" + first_line(node.text) + "\"`";  // the quotes are the mistake
  }
  if (number || boolean) {
    return (number ? "the number `" : "the boolean `") + first_line(node.text) + "`";
  }
  return node.text.empty() ? "an empty text" : "the text `" + first_line(node.text) + "`";
}

std::optional<std::string> reader::read_text(const cursor& where, std::string_view example) {
  if (where.node->kind != yaml_kind::scalar) {
    report_type(where, "text", std::string{example});
    return std::nullopt;
  }
  return where.node->text;
}

std::optional<std::int64_t> reader::read_int(const cursor& where, std::int64_t least,
                                             std::int64_t most, std::string_view example) {
  const auto& node = *where.node;
  std::int64_t number = 0;
  if (node.kind != yaml_kind::scalar || !node.plain || !is_integer_text(node.text)) {
    report_type(where, "a whole number", std::string{example});
    return std::nullopt;
  }
  const auto failure =
      std::from_chars(node.text.data(), node.text.data() + node.text.size(), number).ec;
  if (failure != std::errc{} || number < least || number > most) {
    const auto range = least == most
                           ? std::to_string(least)
                           : "from " + std::to_string(least) + " to " + std::to_string(most);
    report(where, where.label() + " must be " + range + ", found " + first_line(node.text));
    return std::nullopt;
  }
  return number;
}

std::optional<double> reader::read_number(const cursor& where, double least, double most,
                                          std::string_view example) {
  const auto& node = *where.node;
  const auto number =
      node.kind == yaml_kind::scalar && node.plain ? float_of(node.text) : std::optional<double>{};
  if (!number) {
    report_type(where, "a number", std::string{example});
    return std::nullopt;
  }
  if (*number < least || *number > most) {
    report(where, where.label() + " must be from " + to_text(make_value(least)) + " to " +
                      to_text(make_value(most)) + ", found " + first_line(node.text));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> reader::read_bool(const cursor& where) {
  const auto& node = *where.node;
  if (node.kind == yaml_kind::scalar && node.plain &&
      (node.text == "true" || node.text == "false")) {
    return node.text == "true";
  }
  report_type(where, "`true` or `false`", {});
  return std::nullopt;
}

std::optional<runtime::duration> reader::read_duration(const cursor& where, zero_duration zero) {
  if (where.node->kind != yaml_kind::scalar) {
    report_type(where, "a duration", "write it like `90s`, `5m`, `1h30m` or `250ms`");
    return std::nullopt;
  }
  auto parsed = parse_duration(where.node->text);
  if (!parsed.length) {
    report(where, where.label() + ": " + parsed.text, parsed.hint);
    return std::nullopt;
  }
  if (zero == zero_duration::refused && *parsed.length == runtime::duration::zero()) {
    report(where, where.label() + " must be longer than 0", "leave the key out for no limit");
    return std::nullopt;
  }
  return parsed.length;
}

std::optional<std::size_t> reader::read_word(const cursor& where,
                                             std::span<const std::string_view> words) {
  std::string all;
  suggestion near{where.node->text};
  for (std::size_t each = 0; each < words.size(); ++each) {
    if (where.node->kind == yaml_kind::scalar && where.node->text == words[each]) {
      return each;
    }
    all += (all.empty() ? "`" : ", `") + std::string{words[each]} + "`";
    near.consider(words[each]);
  }
  report_type(where, "one of " + all,
              near.best().empty() || where.node->kind != yaml_kind::scalar
                  ? ""
                  : "did you mean `" + std::string{near.best()} + "`?");
  return std::nullopt;
}

std::optional<value> reader::read_scalar(const cursor& where, std::string_view wanted) {
  const auto& node = *where.node;
  if (node.kind != yaml_kind::scalar) {
    report_type(where, wanted, node.kind == yaml_kind::null ? "write \"\" for an empty text" : "");
    return std::nullopt;
  }
  if (!node.plain) {
    return make_value(node.text);
  }
  if (node.text == "true" || node.text == "false") {
    return make_value(node.text == "true");
  }
  if (is_ambiguous(node.text)) {
    const bool word = std::isalpha(static_cast<unsigned char>(node.text[0])) != 0;
    report(where, where.label() + ": `" + first_line(node.text) + "` can be read in two ways",
           "write `\"" + first_line(node.text) + "\"` for text, or a plain " +
               (word ? "`true` or `false`" : "decimal number"));
    return std::nullopt;
  }
  if (is_beyond_numbers(node.text)) {
    report(where, where.label() + ": `" + first_line(node.text) + "` does not fit 64 bits",
           "put it in quotes");
    return std::nullopt;
  }
  if (is_integer_text(node.text)) {
    std::int64_t number = 0;
    std::from_chars(node.text.data(), node.text.data() + node.text.size(), number);
    return make_value(number);
  }
  if (const auto number = float_of(node.text)) {
    return make_value(*number);
  }
  return make_value(node.text);
}

std::optional<std::string> reader::read_written(const cursor& where) {
  return read_scalar(where, "text") ? std::optional{where.node->text} : std::nullopt;
}

}  // namespace millrace::actors
