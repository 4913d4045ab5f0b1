// SPDX-License-Identifier: MIT
#include "definition/reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <tuple>
#include <unordered_set>

#include "definition/message_text.h"
#include "definition/scalar_text.h"
#include "millrace/actors/definition.h"
#include "millrace/actors/duration_text.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {
namespace {

constexpr std::size_t shown_bytes = 60;

// Four times what is shown: doubles are removed only at the end.
constexpr std::size_t kept_diagnostics_max = 4 * diagnostics_max;

// What one load compares to make suggestions: up to about 2 us each, so half a second at most.
constexpr std::size_t comparisons_max = 200'000;

// Merges of maps that merge others, and so on: each level is a call of a call.
constexpr std::size_t merge_depth_max = 64;

std::string shorten(std::string_view text) {
  const auto line = text.substr(0, text.find('\n'));
  if (line.size() == text.size() && line.size() <= shown_bytes) {
    return std::string{line};
  }
  return std::string{line.substr(0, whole_bytes(line, shown_bytes))} + "...";
}

}  // namespace

std::string cursor::pointer() const {
  std::vector<const path_step*> steps;
  for (const auto* step = &at; step->parent != nullptr; step = step->parent) {
    steps.push_back(step);
  }
  std::string text;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    text += (*step)->is_index ? "/" + std::to_string((*step)->index) : pointer_step((*step)->key);
  }
  return text;
}

std::string cursor::label() const {
  if (at.parent == nullptr) {
    return "the definition";
  }
  std::string indexes;
  const auto* step = &at;
  while (step->is_index && step->parent != nullptr) {
    indexes.insert(0, "[" + std::to_string(step->index) + "]");
    step = step->parent;
  }
  return "`" + std::string{step->key} + indexes + "`";
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

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
    return "the text `\"" + shorten(node.text) + "\"`";  // the quotes are the mistake
  }
  if (number || boolean) {
    return (number ? "the number `" : "the boolean `") + shorten(node.text) + "`";
  }
  return node.text.empty() ? "an empty text" : "the text `" + shorten(node.text) + "`";
}

reader::reader(std::string_view source, std::string_view file, const yaml_tree& tree)
    : source_(source),
      file_(file),
      tree_(tree),
      comparisons_left_(comparisons_max),
      line_starts_{0} {
  for (auto at = source.find('\n'); at != std::string_view::npos; at = source.find('\n', at + 1)) {
    line_starts_.push_back(at + 1);
  }
}

bool reader::full() const {
  return diagnostics_.size() >= kept_diagnostics_max;
}

bool reader::may_suggest(std::size_t candidates) {
  if (full() || comparisons_left_ < candidates) {
    return false;
  }
  comparisons_left_ -= candidates;
  return true;
}

void reader::report(yaml_place place, std::string pointer, std::string_view text,
                    std::string_view hint) {
  if (full()) {
    return;
  }
  // Columns are bytes until here; people and editors count characters.
  std::size_t column = place.column;
  if (place.line <= line_starts_.size()) {
    column = 1 + count_characters(source_.substr(line_starts_[place.line - 1], place.column - 1));
  }
  // What was written may be in the message, and must not become part of a terminal or a log.
  diagnostics_.push_back(
      {file_, place.line, column, std::move(pointer), visible(text), visible(hint)});
}

void reader::report(const cursor& where, std::string_view text, std::string_view hint) {
  report(where.place(), where.pointer(), text, hint);
}

void reader::report_type(const cursor& where, std::string_view wanted, std::string_view hint) {
  report(where,
         where.label() + " must be " + std::string{wanted} + ", found " + describe(*where.node),
         hint);
}

std::vector<diagnostic> reader::take_diagnostics() {
  const auto order = [](const diagnostic& each) {
    return std::tie(each.line, each.column, each.text);
  };
  std::stable_sort(diagnostics_.begin(), diagnostics_.end(),
                   [&](const auto& a, const auto& b) { return order(a) < order(b); });
  diagnostics_.erase(
      std::unique(diagnostics_.begin(), diagnostics_.end(),
                  [&](const auto& a, const auto& b) { return order(a) == order(b); }),
      diagnostics_.end());
  if (diagnostics_.size() > diagnostics_max) {
    auto last = diagnostics_[diagnostics_max - 1];
    diagnostics_.resize(diagnostics_max - 1);
    last.text = "there are more mistakes from here on";
    last.hint = "correct the ones above first";
    diagnostics_.push_back(std::move(last));
  }
  return std::move(diagnostics_);
}

yaml_place reader::place_in(const yaml_node& scalar, std::string_view text,
                            std::size_t offset) const {
  constexpr std::string_view opening = "${{";
  auto raw = scalar.place.line <= line_starts_.size()
                 ? line_starts_[scalar.place.line - 1] + scalar.place.column - 1
                 : source_.size();
  std::size_t start = std::string_view::npos;
  for (auto at = text.find(opening); at != std::string_view::npos && at <= offset;
       at = text.find(opening, at + 1)) {
    raw = source_.find(opening, start == std::string_view::npos ? raw : raw + 1);
    start = at;
    if (raw == std::string_view::npos) {
      return scalar.place;
    }
  }
  if (start == std::string_view::npos || raw >= source_.size()) {
    return scalar.place;
  }
  const auto distance = offset - start;
  if (source_.substr(raw, distance) == text.substr(start, distance)) {
    raw += distance;
  }
  const auto line =
      std::upper_bound(line_starts_.begin(), line_starts_.end(), raw) - line_starts_.begin();
  return {static_cast<std::size_t>(line),
          raw - line_starts_[static_cast<std::size_t>(line) - 1] + 1};
}

void reader::merge(const cursor& map, const yaml_node& value, map_entries& into,
                   std::vector<std::string_view>& seen) {
  const bool list = value.kind == yaml_kind::sequence;
  if (value.kind != yaml_kind::map && !list) {
    report(value.place, map.pointer() + "/<<",
           "`<<` must be a map or a list of maps, found " + describe(value), "write `<<: *anchor`");
    return;
  }
  if (merge_depth_ == merge_depth_max) {
    report(value.place, map.pointer() + "/<<",
           "`<<` goes through more than " + std::to_string(merge_depth_max) + " maps",
           "merge fewer maps into each other");
    return;
  }
  std::vector<const yaml_node*> sources;
  if (list) {
    for (const auto index : value.items) {
      sources.push_back(&tree_.at(index));
    }
  } else {
    sources.push_back(&value);
  }
  ++merge_depth_;
  std::unordered_set<std::string_view> known(seen.begin(), seen.end());
  for (const auto* source : sources) {
    if (source->kind != yaml_kind::map) {
      report(source->place, map.pointer() + "/<<",
             "`<<` must be a map or a list of maps, found a list with " + describe(*source),
             "write `<<: [*one, *two]`");
      continue;
    }
    for (const auto& [key, content] : entries({source, nullptr, map.at})) {
      if (known.insert(key->text).second) {
        seen.push_back(key->text);
        into.emplace_back(key, content);
      }
    }
  }
  --merge_depth_;
}

map_entries reader::entries(const cursor& map) {
  map_entries found;
  std::vector<const yaml_node*> merged;
  std::vector<std::string_view> seen;
  const auto& items = map.node->items;
  for (std::size_t each = 0; each + 1 < items.size(); each += 2) {
    const auto& key = tree_.at(items[each]);
    const auto& content = tree_.at(items[each + 1]);
    if (key.kind != yaml_kind::scalar) {
      continue;  // reported with the tree
    }
    if (key.plain && key.text == "<<") {
      merged.push_back(&content);
    } else {
      found.emplace_back(&key, &content);
    }
  }
  if (!merged.empty()) {
    for (const auto& [key, content] : found) {
      seen.push_back(key->text);
    }
    for (const auto* each : merged) {
      merge(map, *each, found, seen);
    }
  }
  return found;
}

std::optional<map_entries> reader::read_map(const cursor& where, std::string_view wanted,
                                            std::string_view hint) {
  if (where.node->kind != yaml_kind::map) {
    report_type(where, wanted, hint);
    return std::nullopt;
  }
  return entries(where);
}

void reader::check_keys(const cursor& map, const map_entries& entries, const key_table& table) {
  for (const auto& [key, content] : entries) {
    if (full()) {
      return;
    }
    const std::string_view word = key->text;
    if (std::find(table.keys.begin(), table.keys.end(), word) != table.keys.end() ||
        (table.extensions && word.starts_with("x-"))) {
      continue;
    }
    const cursor here{content, key, {&map.at, word, 0, false}};
    const auto foreign = std::find_if(table.foreign.begin(), table.foreign.end(),
                                      [&](const foreign_key& each) { return each.word == word; });
    if (foreign != table.foreign.end() && foreign->hint.empty()) {
      report(key->place, here.pointer(),
             "`" + std::string{word} +
                 "` is not supported yet by "
                 "this version");
      continue;
    }
    std::string hint;
    if (foreign != table.foreign.end()) {
      hint = foreign->hint;
    } else if (may_suggest(table.keys.size())) {
      suggestion near{word};
      for (const auto each : table.keys) {
        near.consider(each);
      }
      if (!near.best().empty()) {
        hint = "did you mean `" + std::string{near.best()} + "`?";
      }
    }
    report(key->place, here.pointer(),
           "unknown key `" + shorten(word) + "` in " + std::string{table.owner}, hint);
  }
}

std::optional<cursor> reader::find(const cursor& map, const map_entries& entries,
                                   std::string_view key) {
  for (const auto& [name, content] : entries) {
    if (name->text == key) {
      return cursor{content, name, {&map.at, name->text, 0, false}};
    }
  }
  return std::nullopt;
}

std::vector<cursor> reader::elements(const cursor& sequence) {
  std::vector<cursor> found;
  for (std::size_t each = 0; each < sequence.node->items.size(); ++each) {
    const auto& node = tree_.at(sequence.node->items[each]);
    found.push_back({&node, nullptr, {&sequence.at, {}, each, true}});
  }
  return found;
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
    report(where, where.label() + " must be " + range + ", found " + shorten(node.text));
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
                      to_text(make_value(most)) + ", found " + shorten(node.text));
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
    report(where, where.label() + ": `" + shorten(node.text) + "` can be read in two ways",
           "write `\"" + shorten(node.text) + "\"` for text, or a plain " +
               (word ? "`true` or `false`" : "decimal number"));
    return std::nullopt;
  }
  if (is_beyond_numbers(node.text)) {
    report(where, where.label() + ": `" + shorten(node.text) + "` does not fit 64 bits",
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
