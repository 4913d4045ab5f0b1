// SPDX-License-Identifier: MIT
// Settings file: a YAML map of names to values, which a program takes as it takes its options.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/diagnostic.h"

namespace millrace::actors {

/// One entry, with its place.
struct setting {
  std::string name;
  std::vector<std::string> values;  ///< One, or those of a list; as they were written.
  std::size_t line = 0;
  std::size_t column = 0;
};

struct settings_file {
  std::vector<setting> settings;  ///< In the file's order.
  std::vector<diagnostic> diagnostics;
};

/// Reads `text`; `file` is its name for people. What is no map of scalars and lists of scalars is a
/// mistake, with its place; then the settings count for nothing. Cost: linear in the text.
[[nodiscard]] settings_file read_settings(std::string_view text, const std::string& file);

}  // namespace millrace::actors
