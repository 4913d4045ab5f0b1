// SPDX-License-Identifier: MIT
// Memory budget: how much memory what clients send, or are sent, may take, and of that each of
// those clients, so that nobody takes it all.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

namespace millrace::gateway::http {

/// Threading: any.
class memory_budget {
public:
  /// `most`: of all together. A quarter of it is for each client, or one thing that is larger.
  explicit memory_budget(std::size_t most) : most_(most) {}

  /// Whether a thing of that size, nothing of which has been taken, would fit now.
  [[nodiscard]] bool fits(const std::string& who, std::size_t bytes);

  /// Takes more for a thing that has `own` by now; false: it does not fit, and nothing is taken.
  [[nodiscard]] bool take(const std::string& who, std::size_t own, std::size_t more);
  /// The same whatever the client has of his, while no more than half of all is taken then: the
  /// other half is for what clients have a right to.
  [[nodiscard]] bool take_of_all(const std::string& who, std::size_t more);

  /// Requires: it was taken.
  void give_back(const std::string& who, std::size_t bytes);

  /// Whether half of all is taken, or half of that client's part: time to take less.
  [[nodiscard]] bool is_short(const std::string& who);

  [[nodiscard]] std::size_t taken();

private:
  [[nodiscard]] bool has_room(const std::string& who, std::size_t own, std::size_t more) const;
  [[nodiscard]] std::size_t taken_by(const std::string& who) const;

  const std::size_t most_;
  std::mutex mutex_;  // for all below
  std::size_t taken_ = 0;
  std::map<std::string, std::size_t> of_;
};

}  // namespace millrace::gateway::http
