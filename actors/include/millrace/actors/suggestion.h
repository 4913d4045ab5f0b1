// SPDX-License-Identifier: MIT
// "Did you mean": the nearest of some words.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace::actors {

/// How many single edits (insert, drop, replace, swap neighbours) lie between two words; `limit`
/// + 1 when there are more than `limit`. Cost: O(length of a * length of b).
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit);

/// Keeps the nearest word it was shown.
class suggestion {
public:
  /// A word counts as near within a third of its length, at least one edit.
  explicit suggestion(std::string_view wrong);

  void consider(std::string_view candidate);

  /// Empty when nothing is near. Valid as long as the candidates.
  [[nodiscard]] std::string_view best() const noexcept { return best_; }

private:
  std::string_view wrong_;
  std::string_view best_;
  std::size_t limit_;
};

}  // namespace millrace::actors
