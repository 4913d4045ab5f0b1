// SPDX-License-Identifier: MIT
// A YAML or JSON text as a tree of nodes with places; the only file that knows yaml-cpp.
//
// Built from the parser's events instead of YAML::Node: an alias is an index, so that a bomb of
// aliases stays as small as its text (and what it would grow to is known before anything is
// written out), a repeated key is seen at its own place, and every scalar
// keeps the text that was written. Structural mistakes (repeated keys, keys that are no text,
// tags, an alias inside its own anchor) are collected here for the whole text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::actors {

enum class yaml_kind : std::uint8_t { null, scalar, sequence, map };

/// A place in the text: line from 1, column from 1 in bytes.
struct yaml_place {
  std::size_t line = 1;
  std::size_t column = 1;

  friend bool operator==(const yaml_place&, const yaml_place&) = default;
};

struct yaml_node {
  yaml_kind kind = yaml_kind::null;
  bool plain = false;  ///< A scalar without quotes: `true` is a boolean, `"true"` is not.
  yaml_place place;
  std::string text;                  ///< Of a scalar.
  std::vector<std::uint32_t> items;  ///< Of a sequence; of a map: key, value, key, value, ...
};

struct yaml_problem {
  yaml_place place;
  std::string text;
  std::string hint;
};

/// How much a node is with the aliases below it written out.
struct yaml_extent {
  std::size_t values = 0;
  std::size_t bytes = 0;  ///< Of the scalars.
};

struct yaml_tree {
  std::vector<yaml_node> nodes;
  std::uint32_t root = 0;
  std::vector<yaml_problem> problems;
  yaml_extent extent;       ///< Of the root, without its keys that start with `x-`.
  yaml_place widest_alias;  ///< The alias that stands for the most values.
  bool usable = false;      ///< The text parsed; `problems` may still be there.

  [[nodiscard]] const yaml_node& at(std::uint32_t index) const { return nodes[index]; }
};

/// Requires: `text` is UTF-8. Cost: linear in the text.
[[nodiscard]] yaml_tree parse_yaml(std::string_view text);

/// The byte after the last good character of a text that is not UTF-8, or that holds a control
/// character which no YAML may hold; npos when all is well.
[[nodiscard]] std::size_t find_bad_byte(std::string_view text);

}  // namespace millrace::actors
