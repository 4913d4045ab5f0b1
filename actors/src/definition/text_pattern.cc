// SPDX-License-Identifier: MIT
#include "millrace/actors/text_pattern.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>

namespace millrace::actors {

using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

// For the program, and for what RE2 keeps of states while it matches.
constexpr std::int64_t memory_bytes_max = std::int64_t{128} << 10U;

re2::StringPiece piece_of(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

std::optional<text_pattern> text_pattern::make(std::string_view text, mistake& wrong) {
  re2::RE2::Options options;
  options.set_max_mem(memory_bytes_max);
  options.set_log_errors(false);
  auto program = std::make_shared<const re2::RE2>(piece_of(text), options);
  if (program->error_code() == re2::RE2::ErrorPatternTooLarge ||
      (program->ok() && program->ProgramSize() > pattern_program_max)) {
    wrong = {0, "the pattern is too large: repetitions such as `{1,500}` count as written out"};
    return std::nullopt;
  }
  if (!program->ok()) {
    const auto& part = program->error_arg();
    const auto at = part.empty() ? std::string_view::npos : text.find(part);
    wrong = {at == std::string_view::npos ? 0 : at,
             "the pattern is no regular expression: " + program->error()};
    return std::nullopt;
  }
  return text_pattern{std::move(program)};
}

std::uint64_t text_pattern::steps_for(std::string_view text) const {
  return text.size() * static_cast<std::uint64_t>(program_->ProgramSize());
}

result<void> text_pattern::check_length(std::string_view text) const {
  if (steps_for(text) > pattern_steps_max) {
    const auto size = static_cast<std::uint64_t>(program_->ProgramSize());
    return error{errc::too_large, "the pattern `" + program_->pattern() + "` takes at most " +
                                      std::to_string(pattern_steps_max / size) +
                                      " bytes of text, not " + std::to_string(text.size())};
  }
  return {};
}

result<bool> text_pattern::is_in(std::string_view text) const {
  if (auto fits = check_length(text); !fits) {
    return std::move(fits).error();
  }
  return program_->Match(piece_of(text), 0, text.size(), re2::RE2::UNANCHORED, nullptr, 0);
}

result<std::optional<std::string>> text_pattern::find_in(std::string_view text) const {
  if (auto fits = check_length(text); !fits) {
    return std::move(fits).error();
  }
  std::array<re2::StringPiece, 2> found;
  const auto group = std::min(program_->NumberOfCapturingGroups(), 1);
  if (!program_->Match(piece_of(text), 0, text.size(), re2::RE2::UNANCHORED, found.data(),
                       group + 1)) {
    return std::optional<std::string>{};
  }
  const auto& part = found[static_cast<std::size_t>(group)];
  return part.data() == nullptr ? std::optional<std::string>{}
                                : std::optional{std::string{part.data(), part.size()}};
}

}  // namespace millrace::actors
