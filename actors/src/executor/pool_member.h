// SPDX-License-Identifier: MIT
// Pool member: what any executor has in front of it, between the actors and the attempts.
//
// It reports what an earlier life left, offers the slots to the pool, takes what the pool grants,
// asks tasks what is to run, and tells them what has started and how it ended. The pool tells of
// what never started, once it knows that what had started was reported: an attempt that was put
// aside makes it call all of them lost. Grants wait until then: one that an earlier life was meant
// for is answered, which must not overtake how that attempt ended.
//
// What the executor holds on its disk it tells as that changes, and anew in each life.
//
// Where it holds a lease it renews that. When it is over, or the pool counts on it no more, it
// fences the executor, and joins anew once everybody knows how what it ran has ended.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "executor/executor_actor.h"
#include "executor/executor_name.h"
#include "executor/report_delivery.h"
#include "executor/worker.h"
#include "millrace/actors/executor.h"
#include "millrace/actors/executor_lease.h"
#include "millrace/actors/pools.h"
#include "millrace/actors/resources.h"
#include "millrace/runtime/silo.h"

namespace millrace::actors {

/// Threading: `join` from one thread, before the worker runs; the rest from any.
class pool_member final : public attempt_runner, public attempt_listener {
public:
  /// `id` names the executor in its pools, which are `pools`, `resources` are what it offers there,
  /// and `host` is where other machines reach it. Without `timing` it needs no lease. `keep_slot`
  /// is told of each rank of a gang that the executor has taken. Requires: everything outlives the
  /// member.
  pool_member(std::string id, std::optional<lease_timing> timing, resource_amounts resources,
              pool_names pools, std::string host, executor_name& name, executor& attempts,
              std::function<void(std::string_view)> keep_slot, report_delivery& reports,
              worker& jobs, runtime::silo& home)
      : id_(std::move(id)),
        timing_(timing),
        resources_(std::move(resources)),
        pools_(std::move(pools)),
        host_(std::move(host)),
        name_(name),
        attempts_(attempts),
        keep_slot_(std::move(keep_slot)),
        reports_(reports),
        jobs_(jobs),
        home_(home) {}

  /// Adopts, reports and offers the slots; what cannot be stored now is tried again in the
  /// background, so that one bad attempt, or a disk without room, keeps nobody from asking and from
  /// deleting. A report that fails for 10 s is put aside with a warning.
  /// Errors: those of a call that no repetition mends; then nothing has been offered.
  /// Requires: `home` has been started. Call it once.
  [[nodiscard]] runtime::result<void> join();

  /// Whether the pool is to grant it nothing more, in this life; told as soon as the pool can be.
  void drain(bool drains);

  void granted(granted_attempt attempt) override;
  void cancel(std::string_view token) override;
  [[nodiscard]] runtime::result<void> remove_run(std::string_view run) override;
  [[nodiscard]] runtime::result<log_piece> read_log(const log_wish& wish) const override;
  [[nodiscard]] runtime::result<log_waiter_id> watch_log(const log_wish& wish,
                                                         const std::string& id,
                                                         std::uint64_t waiter) override;
  void forget_waiter(log_waiter_id waiter) override;
  [[nodiscard]] runtime::result<blob_piece> read_blob(std::string_view run, std::string_view digest,
                                                      std::uint64_t offset) const override {
    return attempts_.read_blob(run, digest, offset);
  }
  [[nodiscard]] runtime::result<void> keep_for(std::string_view run, std::string_view digest,
                                               std::string_view project, kept_thing what) override {
    return attempts_.keep_for(run, digest, project, what);
  }

  void started(std::string_view token, runtime::wall_time at) override;
  void waits(std::string_view token, std::string_view why) override;
  void ended(std::string_view token, attempt_report report) override;

private:
  using attempt_spec_results = schemas::task_interface::attempt_spec_results;
  using attempt_spec = std::shared_ptr<runtime::message<schemas::AttemptSpec>>;
  enum class bad_report : std::uint8_t { ends_it, is_put_aside };

  [[nodiscard]] runtime::result<void> try_join(bad_report bad);
  void join_again(unsigned tries);
  void joined();
  [[nodiscard]] runtime::result<void> report_left(const adopted_attempt& left);
  void put_aside(const adopted_attempt& left, const runtime::error& why);
  void when_joined(std::function<void()> job);
  void take(const granted_attempt& attempt);
  void ask(const granted_attempt& attempt, runtime::duration retry);
  void add_sealed(const granted_attempt& attempt, runtime::duration retry, attempt_spec spec);
  void ask_later(const granted_attempt& attempt, runtime::duration retry);
  void not_told(const granted_attempt& attempt, const runtime::error& why, runtime::duration retry);
  void end_unstarted(const granted_attempt& attempt, schemas::AttemptEnd end, std::string_view why);
  void give_back(const granted_attempt& attempt);
  [[nodiscard]] bool is_taken(std::string_view token) const;
  [[nodiscard]] bool is_at(std::string_view token, attempt_stage stage) const;
  void tell_start(const std::string& token, runtime::wall_time at, runtime::duration retry);
  void hold_lease(runtime::steady_time asked_at);
  void renew(std::uint64_t incarnation);
  void check_lease(std::uint64_t incarnation);
  void lose_lease(std::string_view why);
  void join_when_all_is_told();
  [[nodiscard]] bool takes_nothing() const { return drains_ || !refusal_.empty(); }
  [[nodiscard]] std::string told_refusal() const { return drains_ ? std::string{} : refusal_; }
  void tell_drain();
  void watch_room();
  bool look_at_room();
  void tell_storage();

  const std::string id_;
  const std::optional<lease_timing> timing_;
  const resource_amounts resources_;
  const pool_names pools_;
  const std::string host_;
  executor_name& name_;
  executor& attempts_;
  const std::function<void(std::string_view)> keep_slot_;
  report_delivery& reports_;
  worker& jobs_;
  runtime::silo& home_;

  // Those of `join` until the worker runs, then the worker's:
  std::vector<adopted_attempt> left_;
  std::size_t reported_ = 0;  // of these
  unsigned put_aside_ = 0;    // of these
  bool waits_ = false;        // and is reported to
  bool joined_ = false;
  bool drains_ = false;                             // and the pool is told so
  std::string refusal_;                             // of the executor, likewise
  runtime::steady_time asked_at_{};                 // when the pool was last asked to let it join
  std::optional<executor_lease> lease_;             // of the present life
  std::vector<std::function<void()>> early_;        // jobs that wait for it
  bool strangers_are_lost_ = true;                  // those that were granted to another life
  std::optional<storage_by_project> told_storage_;  // nothing: the pool is to be told all of it
  bool tells_storage_ = false;                      // and has not been answered
  runtime::steady_time tells_storage_from_{};
};

}  // namespace millrace::actors
