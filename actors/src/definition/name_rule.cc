// SPDX-License-Identifier: MIT
#include "millrace/actors/name_rule.h"

#include <algorithm>

#include "definition/message_text.h"

namespace millrace::actors {
bool fits(std::string_view name, name_rule rule) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  constexpr std::size_t variable_bytes_max = 255;
  if (name.empty() ||
      name.size() > (rule == name_rule::variable ? variable_bytes_max : name_bytes_max)) {
    return false;
  }
  const auto good = [&](char c, bool first) {
    switch (rule) {
      case name_rule::thing:
        return lower(c) || digit(c) || (!first && (c == '_' || c == '.' || c == '-'));
      case name_rule::field:
        return lower(c) || upper(c) || (!first && (digit(c) || c == '_' || c == '-'));
      case name_rule::variable:
        return lower(c) || upper(c) || c == '_' || (!first && digit(c));
    }
    return false;
  };
  return good(name[0], true) &&
         std::all_of(name.begin() + 1, name.end(), [&](char c) { return good(c, false); });
}

std::string_view words_of(name_rule rule) {
  switch (rule) {
    case name_rule::thing:
      return "use a-z, 0-9, `_`, `.` and `-`, starting with a letter or digit, at most 63";
    case name_rule::field:
      return "use letters, digits, `_` and `-`, starting with a letter, at most 63";
    case name_rule::variable:
      return "use letters, digits and `_`, not starting with a digit";
  }
  return "";
}

std::string shown_name(std::string_view name) {
  constexpr std::size_t shown_bytes_max = 60;  // enough to recognise it by
  const auto shown = whole_bytes(name, shown_bytes_max);
  return visible(name.substr(0, shown)) + (shown < name.size() ? "..." : "");
}

runtime::result<void> check_name(std::string_view what, std::string_view name, name_rule rule) {
  if (fits(name, rule)) {
    return {};
  }
  return runtime::error{runtime::errc::invalid_argument,
                        "the name `" + shown_name(name) + "` is not allowed for a " +
                            std::string{what} + ": " + std::string{words_of(rule)}};
}

}  // namespace millrace::actors
