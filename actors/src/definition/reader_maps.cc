// SPDX-License-Identifier: MIT
// Maps and lists: merges, unknown keys, elements.
#include <algorithm>
#include <unordered_set>

#include "definition/message_text.h"
#include "definition/reader.h"
#include "millrace/actors/suggestion.h"

namespace millrace::actors {
namespace {

// Merges of maps that merge others, and so on: each level is a call of a call.
constexpr std::size_t merge_depth_max = 64;

}  // namespace

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

namespace {

// A word of other systems may be mistyped too.
std::string hint_for(std::string_view word, const key_table& table) {
  suggestion near{word};
  for (const auto each : table.keys) {
    near.consider(each);
  }
  if (!near.best().empty()) {
    return "did you mean `" + std::string{near.best()} + "`?";
  }
  for (const auto& each : table.foreign) {
    near.consider(each.word);
  }
  const auto found = std::find_if(
      table.foreign.begin(), table.foreign.end(),
      [&](const auto& each) { return !near.best().empty() && each.word == near.best(); });
  return found == table.foreign.end() ? std::string{} : std::string{found->hint};
}

}  // namespace

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
    } else if (may_suggest(table.keys.size() + table.foreign.size())) {
      hint = hint_for(word, table);
    }
    report(key->place, here.pointer(),
           "unknown key `" + first_line(word) + "` in " + std::string{table.owner}, hint);
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

}  // namespace millrace::actors
