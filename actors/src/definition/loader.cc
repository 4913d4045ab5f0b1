// SPDX-License-Identifier: MIT
// From a text to a definition: the limits on the text, then the two passes.
#include "definition/loader.h"

#include <algorithm>

#include "definition/json_escapes.h"

namespace millrace::actors {

namespace {

constexpr std::size_t mebibyte = 1'048'576;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

}  // namespace

load_result load_text(std::string_view text, std::string_view file_name, std::size_t bytes_max,
                      const text_file_reader& files) {
  load_result made;
  const auto alone = [&](std::size_t line, std::size_t column, std::string what, std::string hint) {
    made.diagnostics.push_back(
        {std::string{file_name}, line, column, "", std::move(what), std::move(hint)});
    return made;
  };
  if (text.size() > bytes_max) {
    return alone(1, 1,
                 "the definition is larger than " + std::to_string(bytes_max / mebibyte) + " MiB",
                 "use `for_each` for tasks that differ by a value");
  }
  if (text.starts_with(byte_order_mark)) {
    text.remove_prefix(byte_order_mark.size());
  }
  if (auto bad = find_bad_text(text, file_name)) {
    made.diagnostics.push_back(*std::move(bad));
    return made;
  }
  std::string joined;
  if (has_surrogates(text)) {
    joined = join_surrogates(text);
    text = joined;
  }
  const auto tree = parse_yaml(text);
  reader in{text, file_name, tree};
  for (const auto& problem : tree.problems) {
    in.report(problem.place, "", problem.text, problem.hint);
  }
  // Before anything is written out: a small text may stand for more than the memory holds.
  const bool small = tree.extent.values <= bytes_max && tree.extent.bytes <= canonical_bytes_max;
  if (!small) {
    in.report(tree.widest_alias, "",
              "the definition grows too large when its aliases are written out",
              "use fewer aliases, or `for_each`");
  }
  if (tree.usable && small) {
    loaded_shape shape;
    shape.files = files;
    read_shape(in, {&tree.at(tree.root), nullptr, {}}, shape);
    check_references(in, shape);
    if (!in.failed()) {
      made.definition = std::move(shape.definition);
    }
  }
  made.diagnostics = in.take_diagnostics();
  return made;
}

load_result load_definition(std::string_view text, std::string_view file_name) {
  return load_definition(text, file_name, text_file_reader{});
}

load_result load_definition(std::string_view text, std::string_view file_name,
                            const text_file_reader& files) {
  auto made = load_text(text, file_name, definition_bytes_max, files);
  if (made && to_json(*made.definition).size() > canonical_bytes_max) {
    made.definition.reset();
    made.diagnostics.push_back({std::string{file_name}, 1, 1, "",
                                "the definition grows too large when it is written out",
                                "use fewer aliases, or `for_each`"});
  }
  return made;
}

}  // namespace millrace::actors
