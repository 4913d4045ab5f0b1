// SPDX-License-Identifier: MIT
// What a person is told of a run that has ended, here or on a server.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "cli/progress.h"

namespace millrace::gateway::cli {

/// The end of what a task wrote.
struct output_tail {
  std::string command;  ///< That prints all of it.
  std::string output;   ///< Of its standard output.
  std::string errors;   ///< Of its standard error.
};
/// The last lines of each stream of that attempt, at most so many; nothing when it is not known.
using tail_reader = std::function<std::optional<output_tail>(
    const std::string& task, std::uint32_t attempt, std::uint32_t lines)>;

/// What is said of a last task whose output an earlier run has, or that of some of its instances.
[[nodiscard]] std::string cached_text(const std::string& task, const std::string& run);

/// `5 tasks: 4 succeeded, 1 failed`, of the counts in the API's JSON.
[[nodiscard]] std::string task_summary(const nlohmann::ordered_json& counts);

/// Collects what there is to say of a run's tasks.
class closing {
public:
  /// One of its tasks, as the API's JSON has it.
  void add(const nlohmann::ordered_json& task);

  /// Shows how the output of failed tasks ends, of the first of them, then the last line. `run`:
  /// the API's JSON. How it ended.
  exit_code show(progress& view, const nlohmann::ordered_json& run, const tail_reader& tail) const;

private:
  void show_failures(progress& view, const tail_reader& tail) const;

  std::vector<std::pair<std::string, std::uint32_t>> failed_;  // and the latest attempt
  std::size_t more_ = 0;                                       // that are not shown
};

}  // namespace millrace::gateway::cli
