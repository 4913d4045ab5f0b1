// SPDX-License-Identifier: MIT
// Typed reading of a YAML tree: every wrong shape becomes a diagnostic with place and remedy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "definition/keys.h"
#include "definition/yaml_tree.h"
#include "millrace/actors/diagnostic.h"
#include "millrace/actors/value.h"
#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// One step of a JSON pointer; steps live on the stack of the functions that descend.
struct path_step {
  const path_step* parent = nullptr;
  std::string_view key;
  std::size_t index = 0;
  bool is_index = false;
};

/// A node, the key it stands under, and the way to it. Must not outlive its parent's cursor.
struct cursor {
  const yaml_node* node = nullptr;
  const yaml_node* key = nullptr;
  path_step at;

  /// Where to complain: at the key when the value is left out.
  [[nodiscard]] yaml_place place() const {
    return node->kind == yaml_kind::null && key != nullptr ? key->place : node->place;
  }
  [[nodiscard]] std::string pointer() const;
  /// `needs`, `needs[2]`: the name of the value in messages, in backquotes.
  [[nodiscard]] std::string label() const;
};

/// Whether a duration may be nothing: a wait may, a limit may not.
enum class zero_duration : bool { refused, allowed };

/// The entries of a map in order: key and value nodes.
using map_entries = std::vector<std::pair<const yaml_node*, const yaml_node*>>;

/// Reads one text and collects what is wrong with it.
class reader {
public:
  reader(std::string_view source, std::string_view file, const yaml_tree& tree);

  void report(yaml_place place, std::string pointer, std::string_view text,
              std::string_view hint = {});
  void report(const cursor& where, std::string_view text, std::string_view hint = {});
  /// `label must be WANTED, found ...`
  void report_type(const cursor& where, std::string_view wanted, std::string_view hint);

  [[nodiscard]] bool failed() const { return !diagnostics_.empty(); }
  /// Whether further reports would be dropped, so that looking for mistakes is wasted time.
  [[nodiscard]] bool full() const;
  /// Whether a wrong name may still be compared with `candidates` others for a suggestion. Takes
  /// them from what one load may compare; without it, thousands of wrong names among thousands
  /// of good ones would cost minutes.
  [[nodiscard]] bool may_suggest(std::size_t candidates);
  /// Sorted by place, doubles removed (an alias may bring one mistake many times), bounded.
  [[nodiscard]] std::vector<diagnostic> take_diagnostics();

  /// Where byte `offset` of a scalar's text stands in the source, as exactly as escapes and
  /// folding allow; the offset lies in the expression that starts at or before it.
  [[nodiscard]] yaml_place place_in(const yaml_node& scalar, std::string_view text,
                                    std::size_t offset) const;

  /// The entries of a map with `<<` merged in: own keys win, then earlier maps.
  [[nodiscard]] map_entries entries(const cursor& map);
  /// The same after checking that it is a map.
  [[nodiscard]] std::optional<map_entries> read_map(const cursor& where, std::string_view wanted,
                                                    std::string_view hint);
  /// Reports the keys that are not in `table`.
  void check_keys(const cursor& map, const map_entries& entries, const key_table& table);
  [[nodiscard]] static std::optional<cursor> find(const cursor& map, const map_entries& entries,
                                                  std::string_view key);
  [[nodiscard]] std::vector<cursor> elements(const cursor& sequence);

  [[nodiscard]] std::optional<std::string> read_text(const cursor& where, std::string_view example);
  [[nodiscard]] std::optional<std::int64_t> read_int(const cursor& where, std::int64_t least,
                                                     std::int64_t most, std::string_view example);
  [[nodiscard]] std::optional<double> read_number(const cursor& where, double least, double most,
                                                  std::string_view example);
  [[nodiscard]] std::optional<bool> read_bool(const cursor& where);
  [[nodiscard]] std::optional<runtime::duration> read_duration(const cursor& where,
                                                               zero_duration zero);
  /// One of `words`, as its position.
  [[nodiscard]] std::optional<std::size_t> read_word(const cursor& where,
                                                     std::span<const std::string_view> words);
  /// A string, int, float or bool by the strict rules.
  [[nodiscard]] std::optional<value> read_scalar(const cursor& where, std::string_view wanted);
  /// The same where a text is wanted: as it was written, so that `1e3` stays `1e3`.
  [[nodiscard]] std::optional<std::string> read_written(const cursor& where);

private:
  void merge(const cursor& map, const yaml_node& value, map_entries& into,
             std::vector<std::string_view>& seen);

  std::string_view source_;
  std::string file_;
  const yaml_tree& tree_;
  std::size_t comparisons_left_;
  std::size_t merge_depth_ = 0;
  std::vector<std::size_t> line_starts_;
  std::vector<diagnostic> diagnostics_;
};

/// What is wrong with a text that no YAML may be: not UTF-8, or with a control character.
[[nodiscard]] std::optional<diagnostic> find_bad_text(std::string_view text,
                                                      std::string_view file_name);

/// How many characters (code points) a UTF-8 text has.
[[nodiscard]] std::size_t count_characters(std::string_view text);

/// `the list`, `nothing`, `the number 3`: a node in messages.
[[nodiscard]] std::string describe(const yaml_node& node);

}  // namespace millrace::actors
