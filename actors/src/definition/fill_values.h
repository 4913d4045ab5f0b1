// SPDX-License-Identifier: MIT
// Values with expressions in their texts, filled in.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "millrace/actors/expression.h"
#include "millrace/actors/value.h"

namespace millrace::actors {

/// The same with the expressions in its texts filled in; a text that is one expression keeps its
/// type. Errors: as `fill_value`.
[[nodiscard]] runtime::result<value> fill_in(const value& from, const expression_scope& names);

/// The map as a value; a text that is one expression keeps its type. `what`, such as `inputs`, is
/// for the message. Errors: as `fill_value`.
[[nodiscard]] runtime::result<value> fill_values(const std::map<std::string, value>& from,
                                                 const expression_scope& names,
                                                 const std::string& what);

/// What is below `whole`, into maps by name and into lists by number from 0; null: nothing is.
[[nodiscard]] const value* part_of(const value& whole, const std::vector<std::string>& path);

}  // namespace millrace::actors
