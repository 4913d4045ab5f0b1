// SPDX-License-Identifier: MIT
#include "executor/executor_name.h"

#include <fstream>
#include <system_error>

namespace millrace::actors {

executor_name::executor_name(const std::filesystem::path& directory) : file_(directory / "name") {
  std::ifstream file{file_};
  if (!std::getline(file, formerly_) || formerly_.empty()) {
    formerly_ = "local";
  }
}

// By a rename, so that a crash leaves the old name or the new one.
void executor_name::keep(const std::string& name) {
  if (formerly_ == name) {
    return;
  }
  auto fresh = file_;
  fresh += ".new";
  if (std::ofstream file{fresh}; file << name << '\n' << std::flush) {
    std::error_code failed;
    std::filesystem::rename(fresh, file_, failed);
    if (!failed) {
      formerly_ = name;
    }
  }
}

}  // namespace millrace::actors
