// SPDX-License-Identifier: MIT
// The words of an expression, one after the other; private to the definition module.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "millrace/actors/expression.h"

namespace millrace::actors {

[[nodiscard]] constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
[[nodiscard]] constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

[[nodiscard]] constexpr bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '-';
}

/// Where a parser stands in its text, and the first mistake that it met. What takes something also
/// takes the space after it, but for the steps of a reference, which stand without space.
class token_reader {
public:
  explicit token_reader(std::string_view text) : text_(text) {}

protected:
  /// Keeps the mistake if it is the first. Returns nothing, for the parser to return.
  std::nullptr_t fail(std::size_t offset, std::string text, std::string hint = {});
  /// Something stands where an operator or the end was expected.
  std::nullptr_t fail_here();

  /// What follows, for a message.
  [[nodiscard]] std::string rest() const;
  [[nodiscard]] std::string_view peek_word() const;
  void skip_space();
  bool take(std::string_view symbol);
  /// A text in quotes; a backslash keeps the quote or backslash after it.
  bool take_text(std::string& text);
  /// One step of a reference: `.name` or `['name']`.
  bool take_step(std::string& name, std::size_t& offset, std::string_view wanted);

  std::string_view text_;
  std::size_t at_ = 0;
  expression_error failure_;

private:
  bool failed_ = false;
};

}  // namespace millrace::actors
