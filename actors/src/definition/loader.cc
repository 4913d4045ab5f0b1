// SPDX-License-Identifier: MIT
// From a text to a definition: the limits on the text, then the two passes.
#include "definition/loader.h"

#include <algorithm>

namespace millrace::actors {

load_result load_definition(std::string_view text, std::string_view file_name) {
  load_result made;
  const auto alone = [&](std::size_t line, std::size_t column, std::string what, std::string hint) {
    made.diagnostics.push_back(
        {std::string{file_name}, line, column, "", std::move(what), std::move(hint)});
    return made;
  };
  if (text.size() > definition_bytes_max) {
    return alone(1, 1, "the definition is larger than 1 MiB",
                 "use `for_each` for tasks that differ by a value");
  }
  if (const auto bad = find_bad_byte(text); bad != std::string_view::npos) {
    const auto head = text.substr(0, bad);
    const auto line = static_cast<std::size_t>(std::count(head.begin(), head.end(), '\n')) + 1;
    return alone(line, bad - (head.rfind('\n') + 1) + 1, "the text is not UTF-8 here",
                 "save the file as UTF-8 without control characters");
  }
  const auto tree = parse_yaml(text);
  reader in{text, file_name, tree, {definition_bytes_max, canonical_bytes_max}};
  for (const auto& problem : tree.problems) {
    in.report(problem.place, "", problem.text, problem.hint);
  }
  if (tree.usable) {
    loaded_shape shape;
    read_shape(in, {&tree.at(tree.root), nullptr, {}}, shape);
    check_references(in, shape);
    if (!in.failed()) {
      made.definition = std::move(shape.definition);
    }
  }
  made.diagnostics = in.take_diagnostics();
  return made;
}

}  // namespace millrace::actors
