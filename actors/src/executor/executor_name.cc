// SPDX-License-Identifier: MIT
#include "executor/executor_name.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "process/task_file.h"

namespace millrace::actors {

executor_name::executor_name(const std::filesystem::path& directory) : file_(directory / "name") {
  std::array<char, 512> text;  // twice the longest name
  const auto file = process_detail::open_regular(AT_FDCWD, file_.string(), O_RDONLY);
  const auto size = file ? ::read(file->get(), text.data(), text.size()) : -1;
  if (size > 0) {
    formerly_.assign(text.data(), static_cast<std::size_t>(size));
    formerly_.resize(std::min(formerly_.find('\n'), formerly_.size()));
  }
  if (formerly_.empty()) {
    formerly_ = "local";
  }
}

// By a rename, so that a crash leaves the old name or the new one. A task can reach both files.
void executor_name::keep(const std::string& name) {
  if (formerly_ == name) {
    return;
  }
  const auto fresh = file_.string() + ".new";
  const auto line = name + "\n";
  ::unlink(fresh.c_str());
  const auto file = process_detail::open_file(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (file && ::write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
      std::rename(fresh.c_str(), file_.c_str()) == 0) {
    formerly_ = name;
  }
}

}  // namespace millrace::actors
