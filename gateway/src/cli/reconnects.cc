// SPDX-License-Identifier: MIT
#include "cli/reconnects.h"

#include <algorithm>

namespace millrace::gateway::cli {

std::optional<std::chrono::milliseconds> reconnects::after(pass brought,
                                                           std::chrono::nanoseconds spent) {
  if (brought == pass::something) {
    *this = {};
  } else {
    waited_ += std::chrono::floor<std::chrono::milliseconds>(spent);
  }
  if (waited_ >= patience) {
    return std::nullopt;
  }
  const auto wait = std::min(wait_, patience - waited_);
  waited_ += wait;
  wait_ = std::min(wait_ * 2, wait_most);
  return wait;
}

}  // namespace millrace::gateway::cli
