// SPDX-License-Identifier: MIT
// `millrace describe`: what a person wants to know of a pipeline, a run or a task, on one page: how
// it is, why, and what to type next. What the pages have in common.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/run_logs.h"

namespace millrace::gateway::cli {

inline constexpr std::size_t rows_shown = 100;
inline constexpr std::size_t rows_per_page = 1'000;

/// Who asks: the server, and the options that name it.
struct asker {
  remote& server;
  const option_values& options;
};

[[nodiscard]] exit_code describe_pipeline(const asker& by, const std::string& name);
[[nodiscard]] exit_code describe_run(const asker& by, const std::string& id);
[[nodiscard]] exit_code describe_task(const asker& by, const std::string& id,
                                      const std::string& name);

/// A text as it is, anything else as JSON; empty for nothing.
[[nodiscard]] std::string text_in(const ordered_json& of, const char* key);

/// Prints `Title:        text`; nothing of what is empty.
void line(std::string_view title, const std::string& text);
void heading(const std::string& title);
/// Prints `NAME = VALUE`, of an object or a list of such.
void print_values(const std::string& title, const ordered_json& values);

/// One word, as a shell takes it: instances have brackets.
[[nodiscard]] std::string quoted(const std::string& word);

/// `failed: exit code 1`.
[[nodiscard]] std::string in_words(const std::string& word, const std::string& reason);

/// What to type next. `project`: that of the pipeline which it names; the id of a run needs none.
struct next_command {
  // NOLINTNEXTLINE(google-explicit-constructor): most are words alone
  next_command(std::string typed, std::string its_project = {})
      : words(std::move(typed)), project(std::move(its_project)) {}
  std::string words;
  std::string project;
};
/// As it is to be typed: to the server that this command was typed to.
[[nodiscard]] std::string typed(const asker& by, const next_command& next);
void print_commands(const asker& by, const std::vector<next_command>& commands);
/// The one that lists all tasks of a run.
[[nodiscard]] next_command all_tasks(const ordered_json& run);

/// Prints the end of what an attempt wrote. What cannot be read is not shown: its command says why.
void print_end(remote& server, const std::string& run, const attempt_output& whose);

/// Of the states of runs.
[[nodiscard]] bool goes_on(const std::string& state);
/// Of the states of tasks.
[[nodiscard]] bool has_failed(const std::string& state);
[[nodiscard]] bool has_ended(const std::string& state);
/// Whose output is its own.
[[nodiscard]] bool has_attempt(const ordered_json& task);
/// By its name: `build.finally`, or `finally` of the pipeline.
[[nodiscard]] bool is_hook(const std::string& task);
[[nodiscard]] bool waits_for_approval(const ordered_json& task);

/// Visits the rows of a run's list of tasks, those behind `after`, until `goes_on` says no.
[[nodiscard]] runtime::result<void> look_through(
    remote& server, const std::string& target, std::string after, std::size_t per_page,
    const std::function<bool(const ordered_json&)>& goes_on);

/// The tasks of a run that are told of.
struct told_tasks {
  ordered_json rows = ordered_json::array();    ///< The first of them.
  ordered_json failed = ordered_json::array();  ///< The first that have failed, wherever.
  bool have_attempts = false;                   ///< One of those that were looked at.
};
/// A task that the one `name` needs, which has succeeded and may be what this one failed by: a
/// retry may begin with it. Empty: there is none.
[[nodiscard]] std::string needed_by(remote& server, const ordered_json& run,
                                    const ordered_json& rows, const std::string& name);

[[nodiscard]] runtime::result<told_tasks> tasks_of(remote& server, const ordered_json& run,
                                                   const std::string& target);

}  // namespace millrace::gateway::cli
