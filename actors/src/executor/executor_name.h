// SPDX-License-Identifier: MIT
// Executor name: what the executor of a data directory was called when it last joined its pool.
//
// An executor is called as its silo is. When that has changed, the pool must hear that the earlier
// name is nobody's any more, or it would wait for it for ever.
#pragma once

#include <filesystem>
#include <string>

namespace millrace::actors {

/// Threading: none of its own.
class executor_name {
public:
  /// `directory`: where the file `name` is, or will be.
  explicit executor_name(const std::filesystem::path& directory);

  /// The last name. Before there is one: "local", as executors were once called everywhere.
  [[nodiscard]] const std::string& formerly() const noexcept { return formerly_; }

  /// It has joined as `name`. What cannot be written is written when it next joins.
  void keep(const std::string& name);

private:
  std::filesystem::path file_;
  std::string formerly_;
};

}  // namespace millrace::actors
