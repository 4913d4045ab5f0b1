// SPDX-License-Identifier: MIT
// Logs: what a server tells its operator of itself, a line a time on standard error.
//
// Whoever logs does not wait for it to be read: see line_queue.h.
//
// Each module has a logger of its name. The layers below have none: they report through the `warn`
// of their options, which is the embedder's sink, and here is the embedder.
#pragma once

#include <spdlog/logger.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "log/line_queue.h"
#include "millrace/runtime/result.h"

namespace millrace::gateway {

enum class log_format : std::uint8_t {
  text,  ///< For people: `millrace: serving on ...`, `millrace: TIME warning: runtime: ...`.
  json,  ///< An object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`.
};
/// Nothing for a word that is no format, or no level (`debug`, `info`, `warn`, `error`).
[[nodiscard]] std::optional<log_format> log_format_of(std::string_view word);
[[nodiscard]] std::optional<spdlog::level::level_enum> log_level_of(std::string_view word);

/// The line of a message, with its line end; `time` in either.
[[nodiscard]] std::string log_line(log_format format, const spdlog::details::log_msg& message);

/// The loggers of a process.
///
/// Threading: any. A line is written whole.
class logs {
public:
  /// `sink` gets the lines, each before the call that logs it ends; unset: standard error gets
  /// them, by a `line_queue`, which a sudden end of the process waits for a moment (last_words.h);
  /// of several such the latest.
  logs(log_format format, spdlog::level::level_enum level,
       std::function<void(std::string_view)> sink = {});
  logs(const logs&) = delete;
  logs& operator=(const logs&) = delete;
  ~logs();

  /// Waits until the lines so far are written, or for a moment: for who ends the process at once.
  void flush();

  /// The logger of a module, such as `gateway.http`; made when it is first asked for.
  [[nodiscard]] std::shared_ptr<spdlog::logger> of(const std::string& module);

  /// A `log` for the options of a layer below.
  [[nodiscard]] std::function<void(std::string_view)> log_of(const std::string& module);
  /// A `warn` likewise.
  [[nodiscard]] std::function<void(std::string_view)> warn_of(const std::string& module);

private:
  [[nodiscard]] std::function<void(std::string_view)> at(spdlog::level::level_enum how,
                                                         const std::string& module);
  spdlog::level::level_enum level_;
  std::shared_ptr<line_queue> queue_;  // null: there is a sink
  spdlog::sink_ptr sink_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<spdlog::logger>> loggers_;
};

}  // namespace millrace::gateway
