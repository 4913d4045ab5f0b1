// SPDX-License-Identifier: MIT
// Environment files: variables in a file beside the definition, as `docker` and others read them.
//
//     # A comment; empty lines count for nothing.
//     MODE=fast            # so does this
//     export REGION=eu     # `export` may stand in front
//     TITLE='as it is: $HOME, \n'
//     TEXT="two\nlines, a tab\t, a quote \" and a backslash \\"
//
// A value without quotes ends with its line, less the spaces around it; one in quotes may have
// several lines. Nothing is replaced: `$HOME` stays what it is. The last of two lines with one name
// counts.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/actors/definition.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// What is wrong with an environment file.
struct env_file_mistake {
  std::size_t line = 0;  ///< From 1.
  std::string text;      ///< For a person.
};

/// An environment file that was read.
struct env_file {
  std::vector<std::pair<std::string, std::string>> variables;  ///< In order of their lines.
  std::vector<env_file_mistake> mistakes;
};

/// Cost: linear.
[[nodiscard]] env_file parse_env_file(std::string_view text);

/// The content of a file that a definition names by this path. Errors: why it cannot be had, for a
/// person.
using text_file_reader = std::function<runtime::result<std::string>(const std::string& path)>;

/// As `load_definition`, where `env_file` is allowed: the variables are written into the definition
/// as if they stood in its `env`, which wins over them.
[[nodiscard]] load_result load_definition(std::string_view text, std::string_view file_name,
                                          const text_file_reader& files);

}  // namespace millrace::actors
