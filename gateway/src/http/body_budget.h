// SPDX-License-Identifier: MIT
// Body budget: how much memory the bodies of requests may take, and of that each of those who send
// them, so that nobody takes it all.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

namespace millrace::gateway::http {

/// Threading: any.
class body_budget {
public:
  /// `most`: of all together. A quarter of it is for each who sends, or one body.
  explicit body_budget(std::size_t most) : most_(most) {}

  /// Whether a body of that size, nothing of which has been taken, would fit now.
  [[nodiscard]] bool fits(const std::string& who, std::size_t bytes);

  /// Takes more for a body that has `own` by now; false: it does not fit, and nothing is taken.
  [[nodiscard]] bool take(const std::string& who, std::size_t own, std::size_t more);

  /// Requires: it was taken.
  void give_back(const std::string& who, std::size_t bytes);

  [[nodiscard]] std::size_t taken();

private:
  [[nodiscard]] bool has_room(const std::string& who, std::size_t own, std::size_t more) const;

  const std::size_t most_;
  std::mutex mutex_;  // for all below
  std::size_t taken_ = 0;
  std::map<std::string, std::size_t> of_;
};

}  // namespace millrace::gateway::http
