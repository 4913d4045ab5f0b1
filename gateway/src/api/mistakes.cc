// SPDX-License-Identifier: MIT
#include "api/mistakes.h"

#include "api/operation.h"
#include "millrace/actors/process_log.h"

namespace millrace::gateway {

using nlohmann::ordered_json;

namespace {

std::string detail_of(const actors::diagnostic& mistake) {
  return mistake.text + (mistake.hint.empty() ? "" : " (" + mistake.hint + ")");
}

}  // namespace

std::vector<http::problem_entry> entries_of(const std::vector<actors::diagnostic>& mistakes) {
  std::vector<http::problem_entry> made;
  made.reserve(mistakes.size());
  for (const auto& each : mistakes) {
    made.push_back({each.pointer, static_cast<int>(each.line), static_cast<int>(each.column),
                    detail_of(each)});
  }
  return made;
}

ordered_json mistakes_json(const std::vector<actors::diagnostic>& mistakes) {
  auto errors = ordered_json::array();
  for (const auto& each : mistakes) {
    auto& entry = errors.emplace_back(ordered_json::object());
    if (!each.file.empty()) {
      entry["file"] = actors::to_utf8(each.file);
    }
    entry["pointer"] = each.pointer;
    if (each.line > 0) {
      entry["line"] = each.line;
      entry["column"] = each.column;
    }
    entry["detail"] = actors::to_utf8(detail_of(each));  // it may quote a file's name
  }
  return {{"valid", false}, {"errors", std::move(errors)}};
}

json_shape mistakes_shape() {
  return {.schema = problem_shape().named.at("Problem").at("properties").at("errors")};
}

}  // namespace millrace::gateway
