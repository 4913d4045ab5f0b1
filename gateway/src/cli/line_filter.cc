// SPDX-License-Identifier: MIT
#include "cli/line_filter.h"

#include <algorithm>
#include <utility>

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr std::size_t line_bytes_max = std::size_t{1} << 20U;

// What the pattern takes at once; of the largest one 32 KiB.
std::size_t part_bytes_of(const line_pattern& pattern) {
  const auto steps = pattern ? std::max<std::uint64_t>(pattern->steps_for("a"), 1) : 1;
  return std::min<std::size_t>(line_bytes_max, actors::pattern_steps_max / steps);
}

}  // namespace

void add_grep_option(po::options_description& options) {
  options.add_options()("grep", po::value<std::string>()->value_name("PATTERN"),
                        "only lines that hold it, a regular expression of RE2 over UTF-8, "
                        "such as '(?i)error'; --tail counts lines before that. A line that is "
                        "not finished is held back; without a match the exit code is 0 too");
}

runtime::result<line_pattern> grep_of(const option_values& options) {
  if (options.count("grep") == 0) {
    return line_pattern{};
  }
  actors::text_pattern::mistake wrong;
  auto made = actors::text_pattern::make(options["grep"].as<std::string>(), wrong);
  if (!made) {
    return runtime::error{runtime::errc::invalid_argument, "--grep: " + wrong.text};
  }
  return made;
}

line_filter::line_filter(line_pattern pattern)
    : pattern_(std::move(pattern)), part_bytes_max_(part_bytes_of(pattern_)) {}

bool line_filter::add(std::string_view piece, const sink& to) {
  if (!pattern_) {
    return to(piece);
  }
  while (!piece.empty()) {
    const auto end = piece.find('\n');
    const auto size = std::min({end, piece.size(), part_bytes_max_ - line_.size()});
    line_ += piece.substr(0, size);
    const auto is_whole = end == size;
    piece.remove_prefix(size + (is_whole ? 1 : 0));
    if (is_whole ? !pass_end(to) : line_.size() == part_bytes_max_ && !pass_part(to)) {
      return false;
    }
  }
  return true;
}

bool line_filter::end(const sink& to) {
  return (line_.empty() && !is_begun_) || pass_end(to);
}

bool line_filter::pass_part(const sink& to) {
  const auto part = std::exchange(line_, {});
  is_cut_ = true;
  if (!is_wanted(part)) {
    return true;
  }
  is_begun_ = true;
  return to(part);
}

bool line_filter::pass_end(const sink& to) {
  auto part = std::exchange(line_, {});
  const auto is_rest = std::exchange(is_cut_, false);
  const auto is_begun = std::exchange(is_begun_, false);
  std::string_view looked_at{part};
  if (looked_at.ends_with('\r')) {
    looked_at.remove_suffix(1);
  }
  if ((is_rest && part.empty()) || !is_wanted(looked_at)) {
    return !is_begun || to("\n");
  }
  return to(part += '\n');
}

bool line_filter::is_wanted(std::string_view line) const {
  const auto found = pattern_->is_in(line);
  return !found || *found;
}

}  // namespace millrace::gateway::cli
