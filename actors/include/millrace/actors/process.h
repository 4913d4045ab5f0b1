// SPDX-License-Identifier: MIT
// Process supervisor: runs attempts of pipeline tasks as operating-system processes.
//
// An attempt is one process group and what has left it. The supervisor starts it with exactly the
// environment it is told, lets it write its output straight to files, ends it when it is cancelled,
// takes too long or writes too much, and reports how it ended. Nothing of a group outlives its
// attempt, and nothing outlives the silo: a guard process kills every group when the silo dies, and
// the attempt table on disk lets the next life fence what even the guard missed.
//
// Each attempt has a directory of its own, `<token>` in `attempt_directory`, with the files that
// its command writes (`output`, `stdout`, `stderr`, perhaps `heartbeat`) and `tmp`. A command can
// reach and damage all of them: they are read through the descriptors by which they were made, or
// looked at before they are opened, so that nothing put in their place holds or misleads the silo.
//
// What leaves the group, closes everything and clears its environment is found all the same, by a
// mark that its processes inherit (see proc_stat.h) and because orphans become children of ours:
// the process is made a child subreaper. Only what runs as somebody else is out of reach.
// Needs Linux 5.9 or newer (pidfds, close_range) and a mounted /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/process_log.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The longest attempt token: it names files and fills a fixed field of the attempt table.
inline constexpr std::size_t attempt_token_bytes_max = 128;

/// Whether it is 1 to 128 of `A-Z a-z 0-9 . _ -`, the first not a dot.
[[nodiscard]] bool is_attempt_token(std::string_view text) noexcept;

/// What attempts leave free on a disk: four measurements' worth of writing at 250 MB/s.
inline constexpr std::uint64_t disk_reserve_bytes_default = std::uint64_t{256} << 20U;
/// Of a small disk an executor's attempts leave this part.
inline constexpr std::uint64_t disk_reserve_part = 10;

/// What is kept of the output of one attempt.
inline constexpr std::uint64_t log_bytes_default = std::uint64_t{64} << 20U;

/// The longest argument and the longest variable, `KEY=value`, with its NUL: 32 pages (execve(2)).
inline constexpr std::size_t argument_bytes_max = std::size_t{128} << 10U;

/// What becomes of processes that have left the group of their attempt (`setsid`) when it ends.
enum class detach_policy : std::uint8_t {
  forbidden,  ///< They are ended with it.
  allowed,    ///< They go on, also after the silo has ended.
};

/// What to run, and within which bounds.
struct process_spec {
  /// Names the attempt: see `is_attempt_token`; unique among those not yet acknowledged.
  std::string token;

  /// The program and its arguments. A program without a slash is looked up in the `PATH` of
  /// `environment` (`/usr/local/bin:/usr/bin:/bin` when it has none); a relative one counts from
  /// `working_directory`. See `shell_command` for shell text.
  std::vector<std::string> argv;

  /// The environment as `KEY=value`. `MILLRACE_OUTPUT` is added and, unless it is given, `TMPDIR`:
  /// a file and a directory of the attempt's own. Nothing of ours is inherited.
  std::vector<std::string> environment;

  /// Values in `environment` that must not reach a disk. With any, what the command writes to its
  /// streams and to `MILLRACE_OUTPUT`, which is a pipe then, is kept with `***` in their place:
  /// each line of a value that has 4 bytes or more, also what base64 makes of it. Such an attempt
  /// holds three file descriptors more. Not with `detach_policy::allowed`.
  std::vector<std::string> secrets = {};

  std::filesystem::path working_directory;

  /// Goes into a file of the attempt's own, which `MILLRACE_INPUTS` is added to name. Empty: none.
  std::string inputs = {};

  /// Counted from the start. Absent: no limit.
  std::optional<runtime::duration> timeout;

  /// How long the command may give no sign of life: `MILLRACE_HEARTBEAT` is added, a file of the
  /// attempt's own that it is to touch at least so often, from its start on. Absent: it need not.
  /// Time: one that is silent ends up to 10 ms later, by which the clock of files may be behind; or
  /// as long again, where the wall clock was set meanwhile.
  std::optional<runtime::duration> heartbeat = {};

  /// Bytes that its processes may have together: pages of their own, those that they share once,
  /// and none of files. They are looked at four times a second, or once where what they share has
  /// to be told from what they have; an attempt that has more gets SIGKILL. 0: no limit.
  std::uint64_t memory_limit = 0;

  /// How long the group has between SIGTERM and SIGKILL. Zero: SIGKILL at once.
  runtime::duration grace = std::chrono::seconds{10};

  detach_policy detach = detach_policy::forbidden;
};

/// The argv that runs `text` with `shell`, or with `/bin/sh -e -c` if that is empty. A last
/// argument that does not fit one and stands after an option that ends in `c` is taken for such a
/// text: `start` writes it to a file in the attempt's directory and runs that, without the `c`.
[[nodiscard]] std::vector<std::string> shell_command(std::string text,
                                                     std::vector<std::string> shell = {});

/// Why an attempt ended. Numbers are kept in the attempt table.
enum class process_outcome : std::uint8_t {
  exited = 1,     ///< By itself; `exit_code` tells how.
  signalled = 2,  ///< Killed by a signal that the supervisor did not send.
  timed_out = 3,  ///< The supervisor ended it: `timeout` passed.
  cancelled = 4,  ///< The supervisor ended it: `cancel` or `stop`.
  log_limit = 5,  ///< The supervisor ended it: a stream grew over its bound on a file system that
                  ///< cannot drop the middle of a file.
  disk_full = 6,  ///< The supervisor ended it: a stream grew on a disk nearly full.
  no_heartbeat = 7,  ///< The supervisor ended it: nothing was heard of it for `heartbeat`.
  memory_limit = 8,  ///< The supervisor ended it: it had more than its `memory_limit`.
};

[[nodiscard]] std::string_view to_string(process_outcome outcome) noexcept;

/// What is known of one output stream when its attempt has ended.
struct process_stream {
  std::uint64_t bytes = 0;    ///< Written in all.
  std::uint64_t dropped = 0;  ///< Of these, from the middle: see `log_bytes_max`.
  std::string tail;  ///< Its end, as UTF-8: U+FFFD stands for what is not. The file is raw.
};

/// The report of an ended attempt.
struct process_exit {
  std::string token;
  process_outcome outcome = process_outcome::exited;
  std::optional<int> exit_code;  ///< Of the leader, whatever the outcome; absent if signalled.
  std::optional<int> signal;     ///< That killed the leader.
  runtime::wall_time started_at;
  runtime::wall_time ended_at;
  runtime::duration elapsed{};  ///< By the steady clock, from start to the leader's end.
  /// The supervisor ended it, and it needed a SIGKILL once the grace period was over.
  bool forced = false;
  runtime::duration user_time{};
  runtime::duration system_time{};
  /// Peak of the largest process of the attempt, or of all of them with a `memory_limit`, as it was
  /// seen. Absent when it stayed below the silo's own peak: the kernel counts the memory that a
  /// process had before exec, and it starts on ours.
  std::optional<std::uint64_t> max_memory;
  process_stream standard_output;
  process_stream standard_error;
  /// What the command wrote to `$MILLRACE_OUTPUT`, at most `large_output_bytes_max` + 1 bytes of
  /// it; read only when it exited.
  /// Errors: `failed_precondition` when the file that was made for it is not there any more; the
  /// text says what is in its place.
  runtime::result<std::string> output = std::string{};
};

/// What became of an attempt that an earlier life of this state directory had not acknowledged.
struct recovered_attempt {
  enum class state : std::uint8_t {
    fenced,  ///< It was still running; its group has been killed.
    gone,    ///< It no longer ran (or never started); how it ended is not known.
    ended,   ///< It had ended and its outcome was recorded, but not acknowledged.
  };
  std::string token;
  state found = state::gone;
  process_outcome outcome = process_outcome::exited;  ///< Only if `ended`; so the next two.
  std::optional<int> exit_code;
  std::optional<int> signal;
  process_stream standard_output;  ///< These as in `process_exit`.
  process_stream standard_error;
  runtime::result<std::string> output = std::string{};  ///< At most `output_bytes_max` + 1 bytes.
};

/// Bounds of a supervisor.
struct process_options {
  /// Holds the attempt table. One supervisor at a time uses a directory; created when missing.
  std::filesystem::path state_directory;
  /// Where attempts have their directories while they run. Empty: `files` in the state directory.
  std::filesystem::path attempt_directory = {};
  /// Where output is kept: `<folder>/<token>.stdout` and `.stderr`, the folder being the token up
  /// to its first dot. Only what is not empty; it belongs to the caller once its attempt has ended.
  /// Empty: `logs` in the state directory.
  std::filesystem::path log_directory = {};
  /// Attempts that run or wait for `acknowledge`. Each running one holds five file descriptors,
  /// and up to two more once it has written for a while.
  std::uint32_t attempts_max = 4096;
  std::size_t tail_bytes_max = std::size_t{64} << 10U;
  /// What is kept of the output of one attempt: of each stream half, its first and last quarter;
  /// the middle is dropped as it grows. Streams are measured four times a second, so a file takes
  /// more by what is written in 250 ms.
  std::uint64_t log_bytes_max = log_bytes_default;
  /// An attempt whose output grows while less than this is free on its disk is ended, so that what
  /// the silo itself must write has room. More than a disk takes in 250 ms.
  std::uint64_t disk_reserve_bytes = disk_reserve_bytes_default;
  /// The longest that `stop` leaves an attempt between SIGTERM and SIGKILL.
  runtime::duration stop_grace_max = std::chrono::seconds{20};
  /// Where warnings go (one line, no newline); may be empty. Called from any thread.
  std::function<void(std::string_view)> warn = {};
};

struct process_stats {
  std::uint32_t running = 0;
  std::uint32_t unacknowledged = 0;  ///< Ended or recovered, waiting for `acknowledge`.
  std::uint64_t started = 0;
  std::uint64_t refused = 0;  ///< Failed `start` calls.
  /// 0 when the guard was killed: groups then outlive this silo's death until the next `open`.
  pid_t guard = 0;
  std::uint32_t log_waiters =
      0;  ///< Calls of `watch_log` that were neither answered nor forgotten.
  /// How long the supervisor's thread has been busy with one round; 0 while it waits.
  runtime::duration busy{};
};

/// Starts, watches and ends attempts.
///
/// Requires: nobody else in the process reaps children (`waitpid(-1)`, SIGCHLD ignored), or keeps
/// it from being a child subreaper. Threading: every member may be called from any thread.
/// Callbacks run on the supervisor's own thread, one at a time; they may call every member but
/// `stop`, must not throw and must be short: no timeout or exit is handled meanwhile.
class process_supervisor {
public:
  using exit_callback = std::function<void(process_exit)>;

  /// Takes over `options.state_directory`, kills what a previous life left running there, starts
  /// the guard. Call it early: the guard is a fork of this process as it is now, without its file
  /// descriptors but with its memory, copied on write. An attempt whose files or
  /// processes cannot be put in order is told of by `warn` and does not keep the others.
  ///
  /// Errors: `conflict` if a living supervisor has the directory; `storage_failed`, `out_of_space`.
  /// Requires: `clock` outlives the supervisor.
  [[nodiscard]] static runtime::result<std::unique_ptr<process_supervisor>> open(
      process_options options, const runtime::clock& clock);

  process_supervisor(const process_supervisor&) = delete;
  process_supervisor& operator=(const process_supervisor&) = delete;
  /// Stops first.
  ~process_supervisor();

  /// The attempts found by `open`. Each stays recorded, and is found again by the next life, until
  /// it is acknowledged.
  [[nodiscard]] const std::vector<recovered_attempt>& recovered() const;

  /// Names the unbroken line of attempt tables that this one has come down. When it is what an
  /// earlier life had, `recovered` has every attempt that was started and not acknowledged then. It
  /// changes when the machine was booted, which may lose the table's last words, or the table was
  /// removed.
  [[nodiscard]] std::uint64_t lineage() const;

  /// Starts an attempt; on success `on_exit` is called exactly once, possibly before this returns.
  ///
  /// Errors: nothing runs and `on_exit` is never called after `not_found` (the program, its
  /// interpreter or the working directory does not exist), `invalid_argument` (malformed spec, not
  /// executable, not a directory), `too_large` (arguments and environment), `conflict` (token in
  /// use), `overloaded` (attempts_max, or out of processes, memory or descriptors), `unavailable`
  /// (stopping, or the program file is being written), `storage_failed` (log files).
  /// Cost: waits until the kernel has replaced the program, about 0.3 ms whatever our own size.
  [[nodiscard]] runtime::result<void> start(process_spec spec, exit_callback on_exit);

  /// Ends an attempt: SIGTERM to its group, after the grace period SIGKILL. Members of the group
  /// keep the grace period when the leader exits first. Does nothing if the attempt is being ended.
  ///
  /// Errors: `not_found`; `failed_precondition` if it has ended.
  [[nodiscard]] runtime::result<void> cancel(std::string_view token);

  /// The same without a grace period, also where it is being ended already.
  [[nodiscard]] runtime::result<void> kill(std::string_view token);

  /// Forgets an ended or recovered attempt: its outcome is stored elsewhere now.
  ///
  /// Errors: `not_found`; `failed_precondition` while it runs.
  [[nodiscard]] runtime::result<void> acknowledge(std::string_view token);

  /// The output of an attempt, while it grows or as it was kept.
  /// Errors: `not_found` if nothing is kept: it wrote nothing, or there was no such attempt;
  /// `failed_precondition` if something else is in its place; `storage_failed`. Threading, cost:
  /// blocks on the disk, not on what a task does.
  [[nodiscard]] runtime::result<log_file> open_log(std::string_view token,
                                                   output_stream stream) const;

  /// Calls back once: when the stream is longer than `offset` or no running attempt writes it.
  ///
  /// Errors: `unavailable` if stopping; then it is not called back. `stop` fires what is left.
  [[nodiscard]] runtime::result<log_waiter_id> watch_log(std::string_view token,
                                                         output_stream stream, std::uint64_t offset,
                                                         log_callback on_event);

  /// Drops a waiter, soon and without calling it, unless it is being called just now.
  void forget_waiter(log_waiter_id waiter);

  /// Removes a tree that attempts wrote, whatever they made of it. What a crash leaves of it, the
  /// next life removes. Requires: it lies on the file system of the attempt directory, or is small.
  /// Errors: `failed_precondition` if something cannot be removed. Cost: blocks on the disk.
  [[nodiscard]] runtime::result<void> remove(const std::filesystem::path& tree);

  [[nodiscard]] process_stats stats() const;

  /// Refuses new attempts, cancels all, returns when each has ended and was reported.
  /// Time: up to the longest grace period or `stop_grace_max`, whichever is shorter.
  void stop();

private:
  class impl;
  explicit process_supervisor(std::unique_ptr<impl> body);
  std::unique_ptr<impl> impl_;
};

}  // namespace millrace::actors
