// SPDX-License-Identifier: MIT
// Executor: where attempts run.
//
// An executor takes attempts, runs as many at a time as it has slots, and tells how each ended. It
// knows nothing of tasks, pools and actors: an attempt is its token, and what it is to do comes as
// an `AttemptSpec`. What it owes is the same whether it starts processes, containers or jobs of a
// cluster engine:
//
//   * An attempt starts at most once, however often and late its ticket and start are repeated.
//   * Every attempt that it took has one end, which it tells, and keeps until it is acknowledged.
//   * What an earlier life left is accounted for: it goes on, or its end is told.
//   * A life that is fenced starts nothing more, and ends what it runs at once.
//
// Fencing. A *life* of an executor lasts from its opening to its end and has a number, the
// incarnation. The pool numbers what it grants; a ticket carries the grant and the life that it was
// granted to. Tickets arrive in the order of their grants, so the highest one so far tells repeats,
// and attempts that were overtaken by a later one of their task, from what is new. What an attempt
// is to do comes after its ticket, in any order: only what was taken can be started, and once.
//
// tests/actors/executor/conformance.h is this contract as a test that any implementation passes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/process_log.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/message.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// The right to start one attempt.
struct attempt_ticket {
  std::string token;              ///< `RUN.TASK.An` or `RUN.TASK.Ii.An`; see `is_attempt_token`.
  std::uint64_t incarnation = 0;  ///< The life that it was granted to.
  std::uint64_t grant = 0;        ///< From 1; higher than that of every ticket before.
  std::uint32_t priority = 0;     ///< Higher is started first.
};

/// Where an attempt stands at its executor.
enum class attempt_stage : std::uint8_t {
  taken,    ///< What it is to do has not come yet.
  waiting,  ///< For a slot.
  running,  ///< Its command runs, or is being started or ended.
  ended,    ///< It has ended and is not acknowledged.
};

/// One attempt of `executor::list`.
struct listed_attempt {
  std::string token;
  attempt_stage stage = attempt_stage::waiting;

  friend bool operator==(const listed_attempt&, const listed_attempt&) = default;
};

/// What a digest is that of.
enum class kept_thing : std::uint8_t {
  artifact,  ///< Its list, and with it its files.
  text,      ///< Of a large output.
};

/// Part of a blob, and the size of the whole.
struct blob_piece {
  std::string bytes;
  std::uint64_t size = 0;
};

/// The most bytes of one.
inline constexpr std::size_t blob_piece_bytes_max = std::size_t{1} << 20U;

/// Bytes of a disk, by project.
using storage_by_project = std::map<std::string, std::uint64_t, std::less<>>;

/// What became of an attempt of an earlier life.
struct adopted_attempt {
  std::string token;
  /// How it ended, with end `lost` where nobody knows; absent: it runs on, and the listener is told
  /// of its end.
  std::optional<runtime::message<schemas::AttemptReport>> report;
};

/// Hears of the attempts of one executor.
///
/// Threading: called by threads of the executor's own, one call at a time. Must be short: nothing
/// is started meanwhile. It may call every member of the executor but `stop`.
class attempt_listener {
public:
  attempt_listener() = default;
  attempt_listener(const attempt_listener&) = delete;
  attempt_listener& operator=(const attempt_listener&) = delete;
  virtual ~attempt_listener() = default;

  /// The command has been started. At most once an attempt, before its end.
  virtual void started(std::string_view token, runtime::wall_time at) = 0;

  /// Why the attempt has not started yet, for a person: it waits for something else than a slot.
  virtual void waits(std::string_view token, std::string_view why) {
    static_cast<void>(token);
    static_cast<void>(why);
  }

  /// The attempt has ended, or could not start. Exactly once an attempt that this life took, unless
  /// the life ends first.
  virtual void ended(std::string_view token, runtime::message<schemas::AttemptReport> report) = 0;
};

/// Runs attempts.
///
/// Threading: every member from any thread, but `adopt` and `stop` from one.
class executor {
public:
  executor() = default;
  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;
  /// Stops first.
  virtual ~executor() = default;

  /// This life's number: higher than that of every earlier life. `fence` changes it.
  [[nodiscard]] virtual std::uint64_t incarnation() const = 0;

  /// Names the unbroken line of records that this life has come down. While it is what an earlier
  /// life had, `adopt` has every attempt that was started and not acknowledged then.
  [[nodiscard]] virtual std::uint64_t lineage() const = 0;

  /// How many attempts it runs at a time; more wait.
  [[nodiscard]] virtual std::uint32_t slots() const = 0;

  /// Why it is to be given nothing new for now, for a person: its disk is full, for example. Empty:
  /// it can start attempts. One that it has been given all the same is told as `dropped`, with this
  /// text, once the pool has had time to hear of it. Cost: a system call.
  [[nodiscard]] virtual std::string refusal() const { return {}; }

  /// What earlier lives left and nobody has acknowledged. From here on `listener` is told.
  /// Requires: called once, before the first `take`; `listener` outlives the executor's `stop`.
  [[nodiscard]] virtual std::vector<adopted_attempt> adopt(attempt_listener& listener) = 0;

  /// Takes an attempt: from here on it is listed, and no other ticket of it counts.
  ///
  /// Errors: nothing is changed and the listener is not told after `conflict` (fenced: a ticket
  /// with this grant or a higher one was taken), `failed_precondition` (granted to another life),
  /// `invalid_argument` (a token that is none, no grant), `unavailable` (stopping).
  /// Cost: does not block.
  [[nodiscard]] virtual runtime::result<void> take(const attempt_ticket& ticket) = 0;

  /// Tells what an attempt that was taken is to do. It starts when a slot is free; of those that
  /// were told, the ones of the highest priority first and of one priority in the order of their
  /// grants. Artifacts that it needs are fetched and put into its workspace first, and it holds no
  /// slot meanwhile. What cannot start ends as `notStarted`, with the reason as text; a want of
  /// room that may pass is waited for, with the slot kept.
  ///
  /// Errors: `not_found` (not listed), `conflict` (it was told before, or has ended), `unavailable`
  /// (stopping). Cost: does not block.
  [[nodiscard]] virtual runtime::result<void> start(
      runtime::message<schemas::AttemptSpec> attempt) = 0;

  /// Ends an attempt: one that has not started at once, one that runs as its `graceNs` says. It is
  /// told as `cancelled`, or as it has ended meanwhile. No effect on what is not listed or has
  /// ended. Cost: does not block.
  virtual void cancel(std::string_view token) = 0;

  /// Ends this life in place and begins the next: what was not started never will be, what runs is
  /// killed now, without a grace period. The listener is told of each, as `dropped` or as `lost`,
  /// or as it has ended meanwhile. Cost: does not block.
  virtual void fence() = 0;

  /// Every attempt that was taken or adopted and not acknowledged, by token.
  [[nodiscard]] virtual std::vector<listed_attempt> list() const = 0;

  /// Forgets an attempt that has ended: how is stored elsewhere now. No effect on others.
  /// Cost: may block on the disk.
  virtual void acknowledge(std::string_view token) = 0;

  /// The output of an attempt, while it grows or as it was kept.
  /// Errors: `not_found` if nothing is kept: it wrote nothing, or there was no such attempt;
  /// `failed_precondition` if something else is in its place; `storage_failed`. Cost: blocks on the
  /// disk, not on what a task does.
  [[nodiscard]] virtual runtime::result<log_file> open_log(std::string_view token,
                                                           output_stream stream) const = 0;

  /// Calls back once, on a thread of the executor's own: when the stream is longer than `offset` or
  /// no running attempt writes it. `on_event` must be short.
  /// Errors: `unavailable` if stopping; then it is not called back. `stop` fires what is left.
  [[nodiscard]] virtual runtime::result<log_waiter_id> watch_log(std::string_view token,
                                                                 output_stream stream,
                                                                 std::uint64_t offset,
                                                                 log_callback on_event) = 0;

  /// Drops a waiter, soon and without calling it, unless it is being called just now.
  virtual void forget_waiter(log_waiter_id waiter) = 0;

  /// At most 1 MiB from `offset` of what it keeps for the run by that digest, and the size of the
  /// whole. Errors: `not_found` where it does not; `storage_failed`. Cost: blocks on the disk.
  [[nodiscard]] virtual runtime::result<blob_piece> read_blob(std::string_view run,
                                                              std::string_view digest,
                                                              std::uint64_t offset) const {
    static_cast<void>(run);
    static_cast<void>(digest);
    static_cast<void>(offset);
    return runtime::error{runtime::errc::not_found, "the executor keeps no artifacts"};
  }

  /// Keeps the thing of this digest for the run too, which takes it over from another and is the
  /// project's; idempotent. Errors: `not_found` where not all of it is there; `storage_failed`.
  /// Cost: blocks on the disk.
  [[nodiscard]] virtual runtime::result<void> keep_for(std::string_view run,
                                                       std::string_view digest,
                                                       std::string_view project, kept_thing what) {
    static_cast<void>(run);
    static_cast<void>(digest);
    static_cast<void>(project);
    static_cast<void>(what);
    return runtime::error{runtime::errc::not_found, "the executor keeps no artifacts"};
  }

  /// What the runs of each project hold on its disk, a few seconds ago; those that hold nothing are
  /// left out. Nothing: it does not know, or not yet. Runs are the projects' that attempts told.
  [[nodiscard]] virtual std::optional<storage_by_project> storage() { return std::nullopt; }

  /// Deletes what the attempts of a run left in files. Requires: they have ended.
  /// Errors: `failed_precondition` if something cannot be removed. Cost: blocks on the disk.
  [[nodiscard]] virtual runtime::result<void> remove_run(std::string_view run) = 0;

  /// Ends this life: ends what runs where it would not outlive the silo, and tells nothing of it;
  /// the next life adopts it. Idempotent. Time: that of ending what runs.
  virtual void stop() = 0;
};

}  // namespace millrace::actors
