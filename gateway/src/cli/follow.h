// SPDX-License-Identifier: MIT
// Following what a server tells as it happens, over broken connections and restarts too.
#pragma once

#include <functional>
#include <optional>

#include "cli/line_filter.h"
#include "cli/reconnects.h"
#include "cli/remote.h"

namespace millrace::gateway::cli {

/// How one pass over a stream ended.
struct passed {
  bool is_done = false;     ///< All has come.
  bool is_final = false;    ///< There is no use in another pass.
  bool has_answer = false;  ///< A server answered.
  bool is_waiting = false;  ///< It is there, and waits itself for silos of its cluster.
  pass brought = pass::nothing;
  std::optional<runtime::error> why{};  ///< Unless it is done.
};

/// Says on standard error that something is waited for, and why, and that it goes on. A line each,
/// however often it is told.
class waiting_note {
public:
  /// `silent`: a program reads standard error.
  enum class voice : std::uint8_t { aloud, silent };
  /// `what`: `run 01a2`.
  explicit waiting_note(std::string what, voice how = voice::aloud);
  void waits_for(const runtime::error& why);
  /// The server has answered: from now on it is waited for, also where it was not before.
  void goes_on();
  [[nodiscard]] bool is_told() const noexcept { return is_told_; }
  [[nodiscard]] bool has_gone_on() const noexcept { return has_gone_on_; }

private:
  std::string what_;
  voice how_;
  bool is_told_ = false;
  bool has_gone_on_ = false;
};

/// What a stream's end means. An end that looks whole is not done: that is for the caller to know.
[[nodiscard]] passed passed_of(const remote& server,
                               const runtime::result<http::client_response>& answer, pass brought);

/// Calls `once` until it is done; again and again as `reconnects` has it when the connection
/// breaks, the server is away or says that it fails; but not when nobody answered the first time:
/// that is more likely a wrong address than a restart. Who takes a connection and says nothing is
/// nobody. A server that waits itself is waited for as long as it takes. `note` is told of what is
/// waited for; that it goes on is for `once` to tell. False when `latest` came first. Errors: why
/// it ended otherwise.
[[nodiscard]] runtime::result<bool> follow(remote& server, runtime::steady_time latest,
                                           waiting_note& note, const std::function<passed()>& once);

/// A task's log.
struct log_choice {
  std::string run;
  std::string task;
  bool is_errors = false;     ///< The standard error.
  std::uint32_t attempt = 0;  ///< Only this one; 0: the latest, and those that come after it.
  std::uint32_t tail = 0;     ///< Only the last lines, to begin with; 0: all.
  line_pattern grep = {};     ///< Only the lines of these that it is in.
};

/// Gives `to` a log as it grows until the task has ended, or with `attempt` that one, or `to` wants
/// no more. Says when another attempt begins. Errors: why it cannot be read to its end.
[[nodiscard]] runtime::result<void> read_log(remote& server, const log_choice& which,
                                             waiting_note& note, const line_filter::sink& to);

/// Prints a log as it grows until the task has ended, and says so when another attempt begins.
[[nodiscard]] exit_code follow_log(remote& server, const log_choice& which);

}  // namespace millrace::gateway::cli
