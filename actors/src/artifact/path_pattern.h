// SPDX-License-Identifier: MIT
// Path patterns: which files of a workspace an artifact has.
//
// Names divided by `/`, in which `*` stands for any text and `?` for one character; a name that
// begins with a dot is meant only by one that does. `**` stands for any directories, also none. A
// pattern that means a directory means everything in it. There are no other signs, so `[` is
// itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::actors {

/// A pattern, or several of which one is enough, followed from directory to directory.
class path_pattern {
public:
  /// Requires: `refusal_of_path_pattern` has nothing against them.
  explicit path_pattern(const std::vector<std::string>& patterns);

  /// How far the names so far have come in each pattern.
  struct place {
    std::size_t pattern;
    std::size_t name;
  };
  using places = std::vector<place>;

  [[nodiscard]] places begin() const;

  /// What a name means where these places are.
  struct step {
    bool is_taken = false;   ///< It, and of a directory all in it.
    places below;            ///< Empty: nothing below it is meant, unless it is taken.
    std::uint64_t work = 0;  ///< What it took to know, at most: comparisons of characters.
  };
  /// Requires: `from` of `begin` or a step. Cost: O(work), which is at most what all patterns have
  /// times what the name has.
  [[nodiscard]] step follow(const places& from, std::string_view name) const;

private:
  void add(places& to, place at) const;

  std::vector<std::vector<std::string>> patterns_;
};

/// Whether `pattern`, with `*` and `?`, means `name`. Cost: O(pattern * name).
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name);

}  // namespace millrace::actors
