// SPDX-License-Identifier: MIT
// The operators and functions of expressions; private to the definition module.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "definition/expression_tree.h"

namespace millrace::actors {

/// Of a function that takes lists by name, as many as there are.
inline constexpr std::size_t named_operands = SIZE_MAX;

struct function_row {
  std::string_view name;
  function_name function;
  std::size_t operands;
};

inline constexpr std::array functions{
    function_row{"contains", function_name::contains, 2},
    function_row{"starts_with", function_name::starts_with, 2},
    function_row{"ends_with", function_name::ends_with, 2},
    function_row{"length", function_name::length, 1},
    function_row{"int", function_name::to_int, 1},
    function_row{"float", function_name::to_float, 1},
    function_row{"string", function_name::to_string, 1},
    function_row{"split", function_name::split, 2},
    function_row{"join", function_name::join, 2},
    function_row{"range", function_name::range, 2},
    function_row{"zip", function_name::zip, named_operands},
    function_row{"matches", function_name::matches, 2},
    function_row{"extract", function_name::extract, 2},
    function_row{"json", function_name::from_json, 1},
    function_row{"success", function_name::success, 0},
    function_row{"failure", function_name::failure, 0},
    function_row{"always", function_name::always, 0},
};

struct symbol_row {
  std::string_view symbol;
  operation what;
};

/// Longer symbols first.
inline constexpr std::array symbols{
    symbol_row{"==", operation::equal},      symbol_row{"!=", operation::unequal},
    symbol_row{"<=", operation::less_equal}, symbol_row{">=", operation::greater_equal},
    symbol_row{"&&", operation::both},       symbol_row{"||", operation::either},
    symbol_row{"<", operation::less},        symbol_row{">", operation::greater},
    symbol_row{"!", operation::negation},
};

}  // namespace millrace::actors
