// SPDX-License-Identifier: MIT
// Diagnostics: what is wrong with a definition, exactly where, and what to write instead.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::actors {

/// One mistake in a text that a person wrote.
struct diagnostic {
  std::string file;        ///< As given to the loader; may be empty.
  std::size_t line = 0;    ///< From 1; 0 when the mistake is not in a text (a bound parameter).
  std::size_t column = 0;  ///< From 1, in characters (code points), as editors count.
  std::string pointer;     ///< RFC 6901 JSON pointer of the value at fault; "" is the whole text.
  std::string text;        ///< What is wrong: a phrase without a full stop.
  std::string hint;        ///< What to do about it; may be empty.

  friend bool operator==(const diagnostic&, const diagnostic&) = default;
};

/// `file:line:column: error: text (hint)`, the form that editors and terminals link.
[[nodiscard]] std::string to_string(const diagnostic& mistake);

/// The same line, then the source line and a caret under the place. Long source lines are cut
/// around the caret. `source` is the text that was loaded. Ends with a newline.
[[nodiscard]] std::string render(const diagnostic& mistake, std::string_view source);

/// All of them, then a line with their count.
[[nodiscard]] std::string render(const std::vector<diagnostic>& mistakes, std::string_view source);

}  // namespace millrace::actors
