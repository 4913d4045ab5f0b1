// SPDX-License-Identifier: MIT
#include "definition/expression_tree.h"

#include "definition/expression_words.h"

namespace millrace::actors {

std::string_view symbol_of(operation what) noexcept {
  for (const auto& each : symbols) {
    if (each.what == what) {
      return each.symbol;
    }
  }
  return "";
}

std::string_view name_of(function_name function) noexcept {
  for (const auto& each : functions) {
    if (each.function == function) {
      return each.name;
    }
  }
  return "";
}

const std::vector<std::string_view>& task_statuses() {
  static const std::vector<std::string_view> statuses{"succeeded",       "failed",    "errored",
                                                      "timed_out",       "cancelled", "skipped",
                                                      "upstream_failed", "lost"};
  return statuses;
}

bool expression::uses_instance() const {
  bool uses = false;
  walk(root(), [&](const expression_node& node) {
    uses = uses ||
           (node.what == operation::reference &&
            (node.refers_to == reference_kind::matrix || node.refers_to == reference_kind::item));
  });
  return uses;
}

}  // namespace millrace::actors
