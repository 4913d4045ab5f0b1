// SPDX-License-Identifier: MIT
#include "definition/fill_values.h"

namespace millrace::actors {

using runtime::result;

namespace {

// The same with the expressions in its texts filled in.
result<value> filled_in(const value& from, const expression_scope& names) {
  if (const auto* text = from.text()) {
    return fill_value(*text, names);
  }
  if (const auto* items = from.items()) {
    value::list made;
    for (const auto& each : *items) {
      auto filled = filled_in(each, names);
      if (!filled) {
        return filled;
      }
      made.push_back(*std::move(filled));
    }
    return make_value(std::move(made));
  }
  if (const auto* entries = from.entries()) {
    value::map made;
    for (const auto& [key, each] : *entries) {
      auto filled = filled_in(each, names);
      if (!filled) {
        return filled;
      }
      made.emplace(key, *std::move(filled));
    }
    return value{std::move(made)};
  }
  return from;
}

}  // namespace

result<value> fill_values(const std::map<std::string, value>& from, const expression_scope& names,
                          const std::string& what) {
  value::map made;
  for (const auto& [name, content] : from) {
    auto filled = filled_in(content, names);
    if (!filled) {
      return runtime::error{filled.error().code(),
                            what + " " + name + ": " + filled.error().text()};
    }
    made.emplace(name, *std::move(filled));
  }
  return value{std::move(made)};
}

}  // namespace millrace::actors
