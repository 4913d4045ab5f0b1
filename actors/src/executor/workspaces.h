// SPDX-License-Identifier: MIT
// Workspaces: the directories in which commands run, one for a run or one for each of its tasks.
//
// A run that leaves nothing in its workspace leaves no workspace. Its empty directory is renamed
// for the next run, because making and removing one each time costs more than a short command.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/result.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::actors {

/// Threading: one thread at a time.
class workspaces {
public:
  /// Makes the directory where missing. Errors: `storage_failed`, `out_of_space`.
  [[nodiscard]] static runtime::result<workspaces> open(std::filesystem::path path);

  /// The workspace named `RUN` or `RUN/TASK`, made where missing, for an attempt that starts.
  /// Errors: `failed_precondition` if a task has put something else in its place, which the text
  /// says; `storage_failed`, `out_of_space`.
  [[nodiscard]] runtime::result<std::filesystem::path> enter(std::string_view name);

  /// An attempt that had entered has ended. An empty workspace that nobody is in goes.
  void leave(std::string_view name);

  [[nodiscard]] std::filesystem::path path_of(std::string_view name) const { return path_ / name; }

private:
  workspaces(std::filesystem::path path, runtime::unique_fd directory);

  std::filesystem::path path_;
  runtime::unique_fd directory_;
  std::map<std::string, std::uint32_t, std::less<>> entered_;  // by run
  std::vector<std::string> spares_;
};

}  // namespace millrace::actors
