// SPDX-License-Identifier: MIT
#include "cli/line_filter.h"

#include <algorithm>
#include <utility>

namespace millrace::gateway::cli {

namespace po = boost::program_options;

namespace {

constexpr std::size_t line_bytes_max = std::size_t{32} << 10U;
static_assert(line_bytes_max * actors::pattern_program_max <= actors::pattern_steps_max);

}  // namespace

void add_grep_option(po::options_description& options) {
  options.add_options()("grep", po::value<std::string>()->value_name("PATTERN"),
                        "only lines that hold it, a regular expression of RE2 such as\n"
                        "'(?i)error'; --tail counts lines before that");
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

bool line_filter::add(std::string_view piece, const sink& to) {
  if (!pattern_) {
    return to(piece);
  }
  while (!piece.empty()) {
    const auto end = piece.find('\n');
    const auto room = line_bytes_max - line_.size();
    const auto size = std::min(std::min(end, piece.size()), room);
    line_ += piece.substr(0, size);
    const auto is_whole = end == size;
    piece.remove_prefix(size + (is_whole ? 1 : 0));
    if ((is_whole || line_.size() == line_bytes_max) && !pass(std::exchange(line_, {}), to)) {
      return false;
    }
  }
  return true;
}

bool line_filter::end(const sink& to) {
  return line_.empty() || pass(std::exchange(line_, {}), to);
}

bool line_filter::pass(std::string_view line, const sink& to) const {
  const auto found = pattern_->is_in(line);
  return !found || !*found || to(std::string{line} + "\n");
}

}  // namespace millrace::gateway::cli
