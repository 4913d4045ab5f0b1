// SPDX-License-Identifier: MIT
// Hold watch: when who holds a lock has held it for too long.
//
// Pure. It counts looks, not time: a waiter that was stopped itself, or slept with the machine,
// finds that much time has passed, and knows nothing of the holder.
#pragma once

#include <cstdint>

namespace millrace::runtime {

/// As one waiter sees it.
class hold_watch {
public:
  /// With one look every 50 ms, 2 s.
  static constexpr unsigned looks_max = 40;

  /// A look at a lock that `holder` has; `releases` tells two holds of one process apart. True when
  /// it has been the same hold for more looks than that: it is time to kill, and to count anew.
  [[nodiscard]] bool is_too_long(std::uint64_t holder, std::uint32_t releases) noexcept {
    if (holder != holder_ || releases != releases_) {
      holder_ = holder;
      releases_ = releases;
      looks_ = 0;
    }
    if (looks_ < looks_max) {
      ++looks_;
      return false;
    }
    looks_ = 0;
    return true;
  }

private:
  std::uint64_t holder_ = 0;
  std::uint32_t releases_ = 0;
  unsigned looks_ = 0;
};

}  // namespace millrace::runtime
