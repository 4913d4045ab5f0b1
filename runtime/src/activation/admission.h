// SPDX-License-Identifier: MIT
// Admission: which turn may begin beside those that are suspended.
//
// Pure state. Exclusive turns run alone (reentrant ones do not count), read-only turns beside
// each other, reentrant ones beside anything. Order of arrival is kept among the ones that must
// wait, so a stream of readers does not starve a writer.
#pragma once

#include <cstdint>

#include "millrace/runtime/interface.h"

namespace millrace::runtime::detail {

class admission {
public:
  /// Whether a turn may begin now. `others_wait`: earlier ones are waiting.
  [[nodiscard]] bool admits(method_admission what, bool others_wait) const noexcept {
    switch (what) {
      case method_admission::reentrant:
        return true;
      case method_admission::read_only:
        return !others_wait && exclusive_ == 0;
      case method_admission::exclusive:
        return !others_wait && exclusive_ == 0 && readers_ == 0;
    }
    return false;
  }

  /// Requires: it was admitted.
  void begin(method_admission what) noexcept {
    exclusive_ += what == method_admission::exclusive ? 1 : 0;
    readers_ += what == method_admission::read_only ? 1 : 0;
  }

  void end(method_admission what) noexcept {
    exclusive_ -= what == method_admission::exclusive ? 1 : 0;
    readers_ -= what == method_admission::read_only ? 1 : 0;
  }

private:
  std::uint32_t exclusive_ = 0;  // more than one only while call chains have returned
  std::uint32_t readers_ = 0;
};

}  // namespace millrace::runtime::detail
