// SPDX-License-Identifier: MIT
// Regular expressions of the language, and of what is looked for in logs: RE2's, in time linear in
// the text.
//
// What is linear may still be slow: where RE2 falls back to following every state of a program, a
// byte of text costs some nanoseconds for each. So programs are bounded, and so is the product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace millrace::actors {

/// The largest program, in RE2's instructions: a character class is a few of them, a repetition as
/// many as it is long.
inline constexpr int pattern_program_max = 1'000;

/// The most instructions times bytes of one match: a quarter of a second at worst.
inline constexpr std::uint64_t pattern_steps_max = std::uint64_t{1} << 25U;

/// A compiled pattern. Immutable; copies share it.
class text_pattern {
public:
  /// What is wrong with a text that is none, and at which byte of it.
  struct mistake {
    std::size_t offset = 0;
    std::string text;
  };
  /// Nothing when it is none; then `wrong` is set.
  [[nodiscard]] static std::optional<text_pattern> make(std::string_view text, mistake& wrong);

  /// What a match of `text` may cost: instructions times bytes.
  [[nodiscard]] std::uint64_t steps_for(std::string_view text) const;
  /// Whether it is anywhere in `text`. Errors: `too_large` past pattern_steps_max.
  [[nodiscard]] runtime::result<bool> is_in(std::string_view text) const;
  /// What the first group has matched there (nothing of a group that took no part), or all of the
  /// match if it has no group; nothing where it is not in it. Errors: as above.
  [[nodiscard]] runtime::result<std::optional<std::string>> find_in(std::string_view text) const;

private:
  explicit text_pattern(std::shared_ptr<const re2::RE2> program) : program_(std::move(program)) {}
  [[nodiscard]] runtime::result<void> check_length(std::string_view text) const;

  std::shared_ptr<const re2::RE2> program_;
};

}  // namespace millrace::actors
