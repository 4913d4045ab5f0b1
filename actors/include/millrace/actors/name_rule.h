// SPDX-License-Identifier: MIT
// The rules for names: of projects, pipelines and tasks, of parameters, of variables.
//
// One place for all of them. Names stand in URLs, in actor keys, on terminals, in the names of
// files and processes, and people paste them into shells; so they are plain ASCII words, and
// whoever takes one from outside checks it here before it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The longest name of a project, pipeline, task, parameter, output or axis.
inline constexpr std::size_t name_bytes_max = 63;

/// A pattern: first character, further ones, length.
enum class name_rule : std::uint8_t {
  thing,     ///< [a-z0-9][a-z0-9_.-]{0,62}: projects, pipelines, tasks.
  field,     ///< [A-Za-z][A-Za-z0-9_-]{0,62}: parameters, axes, outputs.
  variable,  ///< [A-Za-z_][A-Za-z0-9_]{0,254}: environment.
};

[[nodiscard]] bool fits(std::string_view name, name_rule rule);

/// What the rule allows, as a remedy: `use a-z, ...`.
[[nodiscard]] std::string_view words_of(name_rule rule);

/// A name that nobody has checked, as it may stand in a message: on one line, cut where it is
/// long, and what cannot be seen or turns the text around written as `\u202e`; a byte that is no
/// UTF-8 as `\xff`.
[[nodiscard]] std::string shown_name(std::string_view name);

/// Errors: `invalid_argument` when `name` does not fit, with the name and what is allowed; `what`
/// is the noun of the message, such as `project`.
[[nodiscard]] runtime::result<void> check_name(std::string_view what, std::string_view name,
                                               name_rule rule);

}  // namespace millrace::actors
