// SPDX-License-Identifier: MIT
// The lines that a pattern is in, of a text that comes in pieces.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "millrace/actors/text_pattern.h"

namespace millrace::gateway::cli {

using line_pattern = std::optional<actors::text_pattern>;

/// `--grep`, and its pattern; nothing where it is not given. Errors: `invalid_argument`.
void add_grep_option(boost::program_options::options_description& options);
[[nodiscard]] runtime::result<line_pattern> grep_of(const option_values& options);

/// Threading: one thread.
class line_filter {
public:
  /// Gets what passes, in its order; false: it wants no more.
  using sink = std::function<bool(std::string_view text)>;

  /// Without a pattern all passes, as it comes.
  explicit line_filter(line_pattern pattern);

  /// What `to` said last. A line of more than 1 MiB counts as several, with large patterns one of
  /// more than a part of that, 32 KiB at least; they pass without a newline between them.
  /// A \r at a line's end is not looked at.
  bool add(std::string_view piece, const sink& to);
  /// The text has ended, be it within a line.
  bool end(const sink& to);

private:
  bool pass_part(const sink& to);
  bool pass_end(const sink& to);
  [[nodiscard]] bool is_wanted(std::string_view line) const;

  line_pattern pattern_;
  std::size_t part_bytes_max_;
  std::string line_;       // its beginning has come
  bool is_cut_ = false;    // a part of it has gone before
  bool is_begun_ = false;  // and has passed
};

}  // namespace millrace::gateway::cli
