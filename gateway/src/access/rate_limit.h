// SPDX-License-Identifier: MIT
// Rate limit: how often each of many may do a thing.
//
// The generic cell rate algorithm (ITU-T I.371, annex A), a leaky bucket that needs one time for
// each name: when the next one would be due if all came evenly. Somebody may be ahead of that by a
// burst.
//
// Pure: names and times come in, waits come out.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "millrace/runtime/clock.h"

namespace millrace::gateway {

/// Threading: none of its own. Cost: a lookup; now and then a look at all names.
class rate_limit {
public:
  /// So many names are known apart; who comes when they are all in use shares a limit with others
  /// like him.
  static constexpr std::size_t names_max = 65'536;

  /// One every `interval` on average, and `burst` at once, at least 1.
  rate_limit(runtime::duration interval, unsigned burst)
      : interval_(interval), ahead_max_(interval * (burst - 1)) {}

  /// Counts one for `name`. Else it is one too many, is not counted, and this is how long until one
  /// more would not be.
  [[nodiscard]] std::optional<runtime::duration> take(std::string_view name,
                                                      runtime::steady_time now);

  /// One that was counted for `name` counts no more.
  void give_back(std::string_view name);

  [[nodiscard]] std::size_t size() const noexcept { return due_.size(); }

private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  runtime::steady_time& due_of(std::string_view name, runtime::steady_time now);

  const runtime::duration interval_;
  const runtime::duration ahead_max_;
  // By name; without one that is due already: it is as if it had never come.
  std::unordered_map<std::string, runtime::steady_time, hash, std::equal_to<>> due_;
  runtime::steady_time forgotten_at_{};
};

}  // namespace millrace::gateway
