// SPDX-License-Identifier: MIT
// Task attempts: the fate of one task instance, from its first attempt to its end.
//
//   waiting -> queued -> running -> succeeded
//                 ^         |-> failed, errored, timed_out, lost, cancelled
//                 '- backing_off
//
// One whose result may be kept from an earlier run waits for word of that first, queued nowhere: a
// hit is its success without an attempt at the command.
// One that is queued for longer than its task allows is ended as if it was cancelled, and has timed
// out when that is done.
// A pure core over the row that the task stores: it takes an event and answers what to do. Only
// the latest attempt is listened to, and an end is an end, so however often and late reports come,
// one attempt's result counts. An attempt that was lost with its executor, or that the system
// ended, is made again and does not count against `max_attempts`; one that never started is made
// again whatever the policy says of lost ones. So is one that made way for another task, in its old
// place in the queue, unless the task is cancelled then.
// One of a gang has one attempt: where another would be made it has ended, as lost where its
// attempt was, or never started. Its run begins it again with the others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/actors/retry_policy.h"
#include "millrace/pipeline.capnp.h"

namespace millrace::actors {

/// So often an attempt of a task makes way after it has started. The next one does not: without a
/// bound, a long task might never end.
inline constexpr std::uint32_t preemptions_max = 5;

/// Who begins again what has failed or was lost: the task by itself, or its run, a whole gang.
enum class begun_again_by : std::uint8_t { itself, its_run };

/// What decides over a task's next step; stored with the task.
struct task_row {
  schemas::TaskState state = schemas::TaskState::WAITING;
  std::uint32_t attempt = 0;   ///< The latest; 0: none yet. Never used again, also not by a retry.
  std::uint32_t failures = 0;  ///< Attempts that count against `max_attempts`.
  bool cancelling = false;     ///< The pool has been told to have the attempt ended.
  bool overdue = false;        ///< That, since it has not started in time.
  bool looking_up = false;     ///< It waits for word of a kept result, and the pool has no ticket.
  std::string executor;        ///< That runs the attempt; empty: none.
  std::string reason;          ///< Why it is where it is, for a person.
  /// Only if `cancelling`: it makes way, and this becomes of the task. `BY_DEFAULT`: it does not.
  schemas::Preemptible preempted = schemas::Preemptible::BY_DEFAULT;
  std::uint32_t preemptions = 0;  ///< Attempts that had started and made way.

  friend bool operator==(const task_row&, const task_row&) = default;
};

/// What to do after an event; nothing unless `changed`.
struct task_effects {
  bool changed = false;       ///< The row has changed.
  bool reported = false;      ///< The run wants to know.
  bool look_up = false;       ///< Ask whether there is a kept result, which leads to
                              ///< `took_kept` or `missed`.
  bool enqueue = false;       ///< Ask the pool for a slot for the attempt.
  bool waits_on = false;      ///< It waits in place of one that waited and never started.
  bool in_place = false;      ///< It has the place in the queue that the one before it had.
  bool kill = false;          ///< Have the pool end the attempt, whether it waits or runs.
  bool release = false;       ///< The attempt has ended and needs its slot no more.
  bool adopted = false;       ///< The attempt's outputs are the task's.
  bool forget_retry = false;  ///< Cancel the reminder of the retry.
  std::optional<runtime::duration> retry_after{};  ///< Set the reminder that leads to `retry_due`.

  friend bool operator==(const task_effects&, const task_effects&) = default;
};

/// Threading: none of its own.
class task_attempts {
public:
  /// `success_codes`: see `is_success`.
  task_attempts(task_row row, retry_policy policy, std::vector<std::uint8_t> success_codes = {},
                begun_again_by again = begun_again_by::itself)
      : row_(std::move(row)),
        policy_(std::move(policy)),
        success_codes_(std::move(success_codes)),
        again_(again) {}

  /// The first attempt, or the first after a retry of the run. Requires: nothing is under way.
  enum class kept_result : bool { unwanted, wanted };
  [[nodiscard]] task_effects begin(kept_result kept = kept_result::unwanted);

  /// The result of an earlier run is the task's. `reason`: whose, for a person.
  [[nodiscard]] task_effects took_kept(std::string_view reason);

  /// There is none: the command is to run.
  [[nodiscard]] task_effects missed();

  /// Whether this attempt is the one that is to run: what its executor asks before it starts.
  [[nodiscard]] bool wants(std::uint32_t attempt) const;

  [[nodiscard]] task_effects started(std::uint32_t attempt, std::string_view executor);

  /// Why an attempt that was granted has not started, for a person: `waits for ...`.
  [[nodiscard]] task_effects waits(std::uint32_t attempt, std::string_view reason);

  /// An attempt has ended. `exit_code` of one that exited or was signalled: see `may_retry`.
  /// `reason` tells how, for a person; `fraction` in [0, 1) is the chance in the retry's delay.
  [[nodiscard]] task_effects finished(std::uint32_t attempt, schemas::AttemptEnd how,
                                      std::int32_t exit_code, const std::string& reason,
                                      double fraction);

  /// The delay before the next attempt has passed.
  [[nodiscard]] task_effects retry_due();

  /// The task is wanted no more. One that is queued or runs ends when its attempt has, which the
  /// pool or the executor tells.
  [[nodiscard]] task_effects cancel(std::string_view reason);

  /// The attempt has been queued for as long as it may. One that is not queued goes on.
  [[nodiscard]] task_effects start_overdue(std::string_view reason);

  /// The attempt is to make way for another task. `rule`: what becomes of this one then.
  [[nodiscard]] task_effects preempt(std::uint32_t attempt, schemas::Preemptible rule,
                                     std::string_view reason);

  /// Whether the next attempt makes way, as far as this core says.
  [[nodiscard]] bool may_make_way() const { return row_.preemptions < preemptions_max; }

  [[nodiscard]] const task_row& row() const noexcept { return row_; }

private:
  [[nodiscard]] task_effects make_way();
  [[nodiscard]] task_effects next_attempt();
  [[nodiscard]] task_effects fail(schemas::TaskState state, const std::string& reason,
                                  double fraction, bool may_retry = true);
  void end(schemas::TaskState state, const std::string& reason);

  task_row row_;
  retry_policy policy_;
  std::vector<std::uint8_t> success_codes_;
  begun_again_by again_;
};

}  // namespace millrace::actors
