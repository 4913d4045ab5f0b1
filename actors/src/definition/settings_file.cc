// SPDX-License-Identifier: MIT
#include "millrace/actors/settings_file.h"

#include "definition/yaml_tree.h"

namespace millrace::actors {
namespace {

bool is_value(const yaml_node& node) noexcept {
  return node.kind == yaml_kind::scalar;
}

}  // namespace

settings_file read_settings(std::string_view text, const std::string& file) {
  settings_file read;
  const auto blame = [&](const yaml_place& place, const std::string& what,
                         const std::string& hint) {
    read.diagnostics.push_back({file, place.line, place.column, {}, what, hint});
  };
  if (find_bad_byte(text) != std::string_view::npos) {
    blame({}, "the file is not UTF-8 text", {});
    return read;
  }
  const auto tree = parse_yaml(text);
  for (const auto& each : tree.problems) {
    blame(each.place, each.text, each.hint);
  }
  if (!tree.usable || !read.diagnostics.empty()) {
    return read;
  }
  const auto& root = tree.at(tree.root);
  if (root.kind == yaml_kind::null) {
    return read;  // an empty file
  }
  if (root.kind != yaml_kind::map) {
    blame(root.place, "settings are a map", "write `name: value` in each line");
    return read;
  }
  for (std::size_t at = 0; at + 1 < root.items.size(); at += 2) {
    const auto& key = tree.at(root.items[at]);
    const auto& value = tree.at(root.items[at + 1]);
    setting one{key.text, {}, key.place.line, key.place.column};
    if (is_value(value)) {
      one.values = {value.text};
    } else if (value.kind == yaml_kind::sequence) {
      for (const auto item : value.items) {
        if (!is_value(tree.at(item))) {
          blame(tree.at(item).place, "'" + key.text + "' is a list of plain values", {});
        }
        one.values.push_back(tree.at(item).text);
      }
    } else {
      blame(value.place, "'" + key.text + "' needs a value", "a plain one, or a list of such");
    }
    read.settings.push_back(std::move(one));
  }
  return read;
}

}  // namespace millrace::actors
