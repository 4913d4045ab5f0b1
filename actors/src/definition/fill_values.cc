// SPDX-License-Identifier: MIT
#include "definition/fill_values.h"

#include <charconv>

namespace millrace::actors {

using runtime::result;

result<value> fill_in(const value& from, const expression_scope& names) {
  if (const auto* text = from.text()) {
    return text->find("${{") == std::string::npos ? from : fill_value(*text, names);
  }
  if (const auto* items = from.items()) {
    value::list made;
    for (const auto& each : *items) {
      auto filled = fill_in(each, names);
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
      auto filled = fill_in(each, names);
      if (!filled) {
        return filled;
      }
      made.emplace(key, *std::move(filled));
    }
    return value{std::move(made)};
  }
  return from;
}

result<value> fill_values(const std::map<std::string, value>& from, const expression_scope& names,
                          const std::string& what) {
  value::map made;
  for (const auto& [name, content] : from) {
    auto filled = fill_in(content, names);
    if (!filled) {
      auto text = what + " ";
      text += name + ": " + filled.error().text();
      return runtime::error{filled.error().code(), std::move(text)};
    }
    made.emplace(name, *std::move(filled));
  }
  return value{std::move(made)};
}

namespace {

const value* part_of(const value& whole, const std::string& step) {
  if (const auto* entries = whole.entries()) {
    const auto found = entries->find(step);
    return found == entries->end() ? nullptr : &found->second;
  }
  std::size_t index = 0;
  const auto* limit = step.data() + step.size();
  const auto [after, failure] = std::from_chars(step.data(), limit, index);
  const auto* items = whole.items();
  return items != nullptr && failure == std::errc{} && after == limit && index < items->size()
             ? &(*items)[index]
             : nullptr;
}

}  // namespace

const value* part_of(const value& whole, const std::vector<std::string>& path) {
  const auto* at = &whole;
  for (const auto& step : path) {
    at = part_of(*at, step);
    if (at == nullptr) {
      return nullptr;
    }
  }
  return at;
}

}  // namespace millrace::actors
