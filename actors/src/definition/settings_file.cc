// SPDX-License-Identifier: MIT
#include "millrace/actors/settings_file.h"

#include "definition/reader.h"

namespace millrace::actors {
namespace {

bool is_value(const yaml_node& node) noexcept {
  return node.kind == yaml_kind::scalar;
}

void read_map(const yaml_tree& tree, reader& in, std::vector<setting>& settings) {
  const auto& root = tree.at(tree.root);
  if (root.kind == yaml_kind::null) {
    return;  // an empty file
  }
  if (root.kind != yaml_kind::map) {
    in.report(root.place, "", "settings are a map", "write `name: value` in each line");
    return;
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
          in.report(tree.at(item).place, "", "'" + key.text + "' is a list of plain values", "");
        }
        one.values.push_back(tree.at(item).text);
      }
    } else {
      in.report(value.place, "", "'" + key.text + "' needs a value",
                "a plain one, or a list of such");
    }
    settings.push_back(std::move(one));
  }
}

}  // namespace

settings_file read_settings(std::string_view text, const std::string& file) {
  settings_file read;
  if (auto bad = find_bad_text(text, file)) {
    read.diagnostics.push_back(*std::move(bad));
    return read;
  }
  const auto tree = parse_yaml(text);
  reader in{text, file, tree};
  for (const auto& each : tree.problems) {
    in.report(each.place, "", each.text, each.hint);
  }
  if (tree.usable && !in.failed()) {
    read_map(tree, in, read.settings);
  }
  read.diagnostics = in.take_diagnostics();
  return read;
}

}  // namespace millrace::actors
