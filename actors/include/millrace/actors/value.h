// SPDX-License-Identifier: MIT
// Values of the pipeline language: what parameters, matrix cells and expressions hold.
//
// Small and closed on purpose: null, bool, 64-bit integer, double, UTF-8 text, and lists and maps
// of these. There is no implicit conversion between them anywhere in the language.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::actors {

enum class value_type : std::uint8_t { null, boolean, integer, floating, text, list, map };

/// `null`, `bool`, `int`, `float`, `string`, `list`, `map`: the words that users see.
[[nodiscard]] std::string_view to_string(value_type type) noexcept;

/// One value. A default-constructed value is null.
struct value {
  using list = std::vector<value>;
  using map = std::map<std::string, value, std::less<>>;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, list, map> content;

  [[nodiscard]] value_type type() const noexcept {
    return static_cast<value_type>(content.index());
  }
  [[nodiscard]] bool is_null() const noexcept { return content.index() == 0; }
  [[nodiscard]] const bool* boolean() const noexcept { return std::get_if<bool>(&content); }
  [[nodiscard]] const std::int64_t* integer() const noexcept {
    return std::get_if<std::int64_t>(&content);
  }
  [[nodiscard]] const double* floating() const noexcept { return std::get_if<double>(&content); }
  [[nodiscard]] const std::string* text() const noexcept {
    return std::get_if<std::string>(&content);
  }
  [[nodiscard]] const list* items() const noexcept { return std::get_if<list>(&content); }
  [[nodiscard]] const map* entries() const noexcept { return std::get_if<map>(&content); }

  /// Equal in type and content; the integer 1 and the float 1.0 differ here.
  friend bool operator==(const value&, const value&) = default;
};

/// Null.
[[nodiscard]] value make_value();
[[nodiscard]] inline value make_value(bool content) {
  return value{content};
}
[[nodiscard]] inline value make_value(std::int64_t content) {
  return value{content};
}
[[nodiscard]] inline value make_value(int content) {
  return value{std::int64_t{content}};
}
[[nodiscard]] inline value make_value(double content) {
  return value{content};
}
[[nodiscard]] inline value make_value(std::string content) {
  return value{std::move(content)};
}
[[nodiscard]] inline value make_value(const char* content) {
  return value{std::string{content}};
}
[[nodiscard]] inline value make_value(value::list content) {
  return value{std::move(content)};
}
[[nodiscard]] inline value make_value(value::map content) {
  return value{std::move(content)};
}

/// The text that a value has inside another text, an environment variable or a label: a string as
/// it is, `true`, `42`, `0.5`, `1.0`, nothing for null, and JSON for a list or map.
[[nodiscard]] std::string to_text(const value& content);

/// Compact JSON.
[[nodiscard]] std::string to_json(const value& content);

}  // namespace millrace::actors
