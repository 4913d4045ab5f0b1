// SPDX-License-Identifier: MIT
// Run logs: what the tasks of a run wrote, from a server or from a data directory without one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cli.h"
#include "cli/line_filter.h"
#include "cli/remote.h"
#include "millrace/actors/kept_logs.h"

namespace millrace::gateway::cli {

/// Longer names of tasks stand out of their column.
inline constexpr std::size_t names_columns_max = 32;

/// What a line begins with, unless its attempt is the first one: `retried attempt 2`.
[[nodiscard]] std::string shown_name(const std::string& task, std::uint32_t attempt);

/// An attempt that may have written something.
struct attempt_output {
  std::string task;           ///< The instance: `count[3]`.
  std::uint32_t attempt = 0;  ///< 0: the latest.
};

/// What of a run's output is wanted.
struct log_request {
  std::string run;            ///< A word for `run_of`.
  std::string task;           ///< An instance, a task with a fan-out, or empty: all.
  bool only_errors = false;   ///< Only the standard error.
  std::uint32_t attempt = 0;  ///< Only this one; 0: of an instance the latest, else all.
  std::uint32_t tail = 0;     ///< Only the last lines of each stream; 0: all.
  bool timestamps = false;    ///< Each line begins with when it was written.
  std::optional<runtime::wall_time> since = {};  ///< Only what was written from then on.
  line_pattern grep = {};                        ///< Only the lines of these that it is in.
};

/// A line that an attempt wrote, or why the rest of that output cannot be read.
struct log_line {
  std::string task;
  std::uint32_t attempt = 0;
  actors::output_stream stream = actors::output_stream::standard_output;
  std::string time;   ///< RFC 3339.
  std::string text;   ///< Without its newline.
  std::string error;  ///< Else empty.
};

/// Where output is read. Threading: one thread.
class log_source {
public:
  /// Gets the pieces of an output in their order; false ends it.
  using sink = std::function<bool(std::string_view piece)>;
  using line_sink = std::function<bool(const log_line& line)>;

  log_source() = default;
  log_source(const log_source&) = delete;
  log_source& operator=(const log_source&) = delete;
  virtual ~log_source() = default;

  /// As `remote::run_of`.
  [[nodiscard]] virtual runtime::result<std::string> run_of(const std::string& word) = 0;
  /// Whether `task` is one instance; else it has several. Errors: `not_found` for neither.
  [[nodiscard]] virtual runtime::result<bool> is_instance(const std::string& run,
                                                          const std::string& task) = 0;
  /// Of the longest name of an instance that `what` wants, as it is shown.
  [[nodiscard]] virtual runtime::result<std::size_t> columns(const std::string& run,
                                                             const log_request& what) = 0;
  /// What the attempts wrote that `what` wants, in the order of the times.
  [[nodiscard]] virtual runtime::result<void> lines(const std::string& run, const log_request& what,
                                                    const line_sink& to) = 0;
  /// `tail`: only the last lines; 0: all. Nothing for one that wrote nothing.
  [[nodiscard]] virtual runtime::result<void> read(const std::string& run,
                                                   const attempt_output& whose,
                                                   actors::output_stream stream, std::uint32_t tail,
                                                   const sink& to) = 0;
};

/// What a server has.
class remote_logs final : public log_source {
public:
  /// Requires: `server` outlives it.
  explicit remote_logs(remote& server) : server_(server) {}
  runtime::result<std::string> run_of(const std::string& word) override;
  runtime::result<bool> is_instance(const std::string& run, const std::string& task) override;
  runtime::result<std::size_t> columns(const std::string& run, const log_request& what) override;
  runtime::result<void> lines(const std::string& run, const log_request& what,
                              const line_sink& to) override;
  runtime::result<void> read(const std::string& run, const attempt_output& whose,
                             actors::output_stream stream, std::uint32_t tail,
                             const sink& to) override;

private:
  remote& server_;
};

/// What lies in a data directory, whether or not a process serves it.
class directory_logs final : public log_source {
public:
  explicit directory_logs(std::filesystem::path data) : data_(std::move(data)) {}
  runtime::result<std::string> run_of(const std::string& word) override;
  runtime::result<bool> is_instance(const std::string& run, const std::string& task) override;
  runtime::result<std::size_t> columns(const std::string& run, const log_request& what) override;
  runtime::result<void> lines(const std::string& run, const log_request& what,
                              const line_sink& to) override;
  runtime::result<void> read(const std::string& run, const attempt_output& whose,
                             actors::output_stream stream, std::uint32_t tail,
                             const sink& to) override;

private:
  [[nodiscard]] const std::vector<actors::kept_log>& kept(const std::string& run);

  const std::filesystem::path data_;
  std::string listed_;  // the run whose logs these are
  std::vector<actors::kept_log> kept_;
};

/// Of an instance its output goes to standard output and its errors to standard error, as they are,
/// unless only these are wanted. Of several everything goes to standard output in the order in
/// which it was written, and each line begins with its task.
[[nodiscard]] exit_code print_logs(log_source& from, const log_request& what);

/// The command that prints what an instance wrote, for a person to copy. `data`: the directory that
/// has it; empty: a server does.
[[nodiscard]] std::string logs_command(const std::string& run, const std::string& task,
                                       std::uint32_t attempt, const std::string& data = {});

}  // namespace millrace::gateway::cli
