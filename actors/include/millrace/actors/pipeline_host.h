// SPDX-License-Identifier: MIT
// Pipeline host: makes a silo run pipelines.
//
// It adds the pipeline actors to a silo and runs this machine's share of their attempts as
// processes. All of its files lie in one data directory: `workspaces/`, `logs/`, `artifacts/`,
// `attempts/` (what running ones have open) and the attempt table `executor/`.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "millrace/actors/executor.h"
#include "millrace/actors/executor_lease.h"
#include "millrace/actors/pools.h"
#include "millrace/actors/process.h"
#include "millrace/actors/resources.h"
#include "millrace/actors/retention.h"
#include "millrace/actors/schedule.h"
#include "millrace/actors/secret_value.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/silo.h"

namespace millrace::actors {

struct pipeline_host_options {
  std::filesystem::path data_directory;
  std::uint32_t slots = 0;  ///< Attempts at a time; 0: the number of processors, at least 2.
  /// What tasks may ask for beside a slot, over what the machine or its cgroup has of `cpu` and
  /// `memory`; an amount of 0 takes one of these away.
  resource_amounts resources = {};
  /// That the executor belongs to.
  pool_names pools{std::string{default_pool}};
  /// What the executor is called: the name of its silo, which empty means, or that, a `/` and more.
  std::string executor_id = {};
  /// Where other machines reach this one: an address or a name. The ranks of a gang are told it.
  std::string host = "127.0.0.1";
  /// Where several silos form a cluster: executors hold leases, and one whose lease is over is lost
  /// to the pool. Nothing: this silo is alone, and its executor comes back when it does.
  std::optional<lease_timing> lease = {};
  /// Of the runs of each pipeline, where its definition says nothing else.
  run_retention retention = {};
  /// When less is free on the disk no attempts are taken, and those that write output are ended.
  std::uint64_t disk_reserve_bytes = disk_reserve_bytes_default;
  /// Where the secrets of tasks are; what a task needs and is not there errors its attempts.
  secret_places secrets = {};
  /// The types of actors that tasks may call (`actor: TYPE/KEY`), of those that the silo has: any
  /// actor of these, from any project, but for methods that their schema keeps for other actors.
  /// The types that this adds to the silo are never among them.
  std::set<std::string, std::less<>> callable_types = {};
  /// Where warnings go (one line, no newline); unset: standard error. Called from any thread.
  std::function<void(std::string_view)> warn = {};
  /// Where goes what an operator would date, as `warn`: each run's end, and what an earlier life of
  /// the executor left. Unset: nowhere.
  std::function<void(std::string_view)> log = {};
};

/// The log files of an attempt. Names for people: `executor::open_log` opens.
struct attempt_logs {
  std::filesystem::path standard_output;
  std::filesystem::path standard_error;
};

/// Threading: `open`, `join` and `stop` from one thread; the rest from any.
class pipeline_host {
public:
  /// Takes over the data directory's attempt table, fences what an earlier life left running, and
  /// adds the actor types to `home`, which must outlive the host.
  /// Requires: `home` has not been started.
  /// Errors: those of `process_supervisor::open`; `invalid_argument` for an `executor_id` of
  /// another silo.
  [[nodiscard]] static runtime::result<std::unique_ptr<pipeline_host>> open(
      pipeline_host_options options, runtime::silo& home);

  pipeline_host(const pipeline_host&) = delete;
  pipeline_host& operator=(const pipeline_host&) = delete;
  /// Requires: `home` has been stopped, because its actors reach the processes through this.
  ~pipeline_host();

  /// Reports what an earlier life left and offers the slots. Requires: `home` has been started.
  /// What cannot be stored yet, for example on a full disk, is tried again in the background:
  /// `trouble` tells until it is done. A report that fails for 10 s is put aside with a warning.
  /// Errors: those of a call that no repetition mends; then nothing has been offered.
  [[nodiscard]] runtime::result<void> join();

  /// Ends the running attempts without reporting them: the next life starts them again. Call it
  /// before the silo is stopped. Idempotent.
  void stop();

  /// How `attempts` calls an attempt.
  [[nodiscard]] static std::string token_of(std::string_view run, std::string_view task_instance,
                                            std::uint32_t attempt);

  /// Where the output of an attempt lies once it has ended; not what was empty.
  [[nodiscard]] attempt_logs logs_of(std::string_view run, std::string_view task_instance,
                                     std::uint32_t attempt) const;

  [[nodiscard]] std::filesystem::path workspace_of(std::string_view run) const;

  /// What the executor is called.
  [[nodiscard]] const std::string& executor_id() const;

  /// What runs this machine's attempts, for their logs.
  [[nodiscard]] executor& attempts();

  /// What runs their processes, for figures.
  [[nodiscard]] process_supervisor& processes();

  /// What the schedules of this silo have done, for figures.
  [[nodiscard]] schedule_counts schedules() const;

  /// Attempts that the pool, while it was on this silo, has told to make way, for figures.
  [[nodiscard]] std::uint64_t preemptions() const;

  /// How long the executor has been at what it does now; 0 while it waits. It grows when it is
  /// stuck, for example on a disk that does not answer.
  [[nodiscard]] runtime::duration busy() const;

  /// Why the results of attempts cannot be stored at the moment; nothing while they can. They are
  /// kept and stored later.
  [[nodiscard]] std::optional<runtime::error> trouble() const;

private:
  class impl;
  explicit pipeline_host(std::unique_ptr<impl> body);
  std::unique_ptr<impl> impl_;
};

}  // namespace millrace::actors
