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
  explicit line_filter(line_pattern pattern) : pattern_(std::move(pattern)) {}

  /// What `to` said last. A line of more than 32 KiB counts as several.
  bool add(std::string_view piece, const sink& to);
  /// The text has ended, be it within a line.
  bool end(const sink& to);

private:
  bool pass(std::string_view line, const sink& to) const;

  line_pattern pattern_;
  std::string line_;  // its beginning has come
};

}  // namespace millrace::gateway::cli
