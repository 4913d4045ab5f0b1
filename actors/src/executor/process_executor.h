// SPDX-License-Identifier: MIT
// Process executor: runs attempts as processes of this machine.
//
// It puts together the ledger (fences, what is listed), the start queue (slots), the workspaces,
// the artifacts, the storage meter and the supervisor (processes, files, logs). An attempt holds a
// slot while its process lives, its artifacts are kept, or a start that was refused is tried again;
// one is kept for a rank of a gang from its ticket on. Artifacts are got, put and kept on a thread
// of their own, one attempt's after the other; so are large outputs. Nothing that runs outlives the
// silo: what `adopt` finds has ended, or is lost.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "artifact/artifact_delivery.h"
#include "artifact/blob_store.h"
#include "executor/attempt_ledger.h"
#include "executor/attempt_report.h"
#include "executor/start_queue.h"
#include "executor/storage_meter.h"
#include "executor/worker.h"
#include "executor/workspaces.h"
#include "millrace/actors/executor.h"
#include "millrace/actors/process.h"
#include "millrace/actors/secret_value.h"
#include "millrace/runtime/trace.h"

namespace millrace::actors {

struct process_executor_options {
  /// Holds `workspaces/`, `logs/`, `artifacts/`, `attempts/`, `projects/` and the attempt table
  /// `executor/`.
  std::filesystem::path data_directory;
  std::uint32_t slots = 0;  ///< 0: the number of processors, at least 2.
  /// With less free nothing starts, and what writes output is ended; at most a part of the disk.
  std::uint64_t disk_reserve_bytes = disk_reserve_bytes_default;
  secret_places secrets = {};
  std::shared_ptr<runtime::span_sink> spans = {};   ///< Told of commands; null: nobody is.
  std::function<void(std::string_view)> warn = {};  ///< As `process_options::warn`.
  blob_sources elsewhere = {};                      ///< Where artifacts are that are not here.
};

/// See the contract. `remove_run` refuses to take what is no run's id for a path.
class process_executor final : public executor {
public:
  /// Takes over the data directory and ends what an earlier life left running there.
  /// Requires: `time` and `jobs` outlive the executor, `jobs` is stopped before `stop`.
  /// Errors: those of `process_supervisor::open`.
  [[nodiscard]] static runtime::result<std::unique_ptr<process_executor>> open(
      process_executor_options options, const runtime::clock& time, worker& jobs);
  process_executor(const process_executor&) = delete;
  process_executor& operator=(const process_executor&) = delete;
  ~process_executor() override { stop(); }

  [[nodiscard]] std::uint64_t incarnation() const override;
  [[nodiscard]] std::uint64_t lineage() const override { return supervisor_->lineage(); }
  [[nodiscard]] std::uint32_t slots() const override { return options_.slots; }
  [[nodiscard]] std::string refusal() const override;
  [[nodiscard]] std::vector<adopted_attempt> adopt(attempt_listener& listener) override;
  [[nodiscard]] runtime::result<void> take(const attempt_ticket& ticket) override;
  [[nodiscard]] runtime::result<void> start(
      runtime::message<schemas::AttemptSpec> attempt) override;
  /// Keeps a slot for an attempt from its ticket on, whatever is ready before: it starts together
  /// with others. No effect unless its stage is `taken`.
  void keep_slot(std::string_view token);
  void cancel(std::string_view token) override;
  void fence() override;
  [[nodiscard]] std::vector<listed_attempt> list() const override;
  void acknowledge(std::string_view token) override;
  [[nodiscard]] runtime::result<log_file> open_log(std::string_view token,
                                                   output_stream stream) const override;
  [[nodiscard]] runtime::result<log_waiter_id> watch_log(std::string_view token,
                                                         output_stream stream, std::uint64_t offset,
                                                         log_callback on_event) override;
  void forget_waiter(log_waiter_id waiter) override;
  [[nodiscard]] runtime::result<blob_piece> read_blob(std::string_view run, std::string_view digest,
                                                      std::uint64_t offset) const override;
  [[nodiscard]] runtime::result<void> keep_for(std::string_view run, std::string_view digest,
                                               std::string_view project, kept_thing what) override;
  [[nodiscard]] std::optional<storage_by_project> storage() override;
  [[nodiscard]] runtime::result<void> remove_run(std::string_view run) override;
  void stop() override;

  /// What runs the processes, for figures.
  [[nodiscard]] process_supervisor& processes() noexcept { return *supervisor_; }

private:
  using attempt_message = std::shared_ptr<runtime::message<schemas::AttemptSpec>>;

  process_executor(process_executor_options options, const runtime::clock& time, worker& jobs,
                   workspaces rooms, std::unique_ptr<blob_store> blobs,
                   std::unique_ptr<storage_meter> meter,
                   std::unique_ptr<process_supervisor> supervisor);

  // The worker's.
  void withdraw(const std::string& token, schemas::AttemptEnd end);
  [[nodiscard]] bool is_fenced(std::string_view token) const;
  void start_more();
  // What a start that was tried before has come to.
  struct past_tries {
    unsigned refused = 0;
    std::optional<runtime::steady_time> full_since{};  // it has found no room
  };
  void start_now(const attempt_message& message, past_tries before);
  [[nodiscard]] runtime::result<void> launch(const attempt_message& message);
  void try_again(const attempt_message& message, past_tries before);
  void process_ended(const attempt_message& message, const process_exit& ended);
  void tell_end(const attempt_message& message, const std::string& token, attempt_report& report);
  // Whether an attempt's files are still wanted; asked by the other thread.
  using wanted_flag = std::shared_ptr<std::atomic<bool>>;
  [[nodiscard]] std::function<bool()> asks(const wanted_flag& flag) const;
  void prepare(const attempt_message& message, const wanted_flag& wanted,
               runtime::steady_time since);
  void prepared(const attempt_message& message, const wanted_flag& wanted,
                runtime::steady_time since, const runtime::result<void>& done);
  void collect(const attempt_message& message, const std::string& token,
               const std::shared_ptr<attempt_report>& report, std::vector<large_output> large);
  void end_unstarted(const std::string& token, schemas::AttemptEnd end, std::string_view why);

  [[nodiscard]] std::string disk_full_text() const;
  [[nodiscard]] std::string reserve_text() const;

  const process_executor_options options_;
  const runtime::clock& time_;
  worker& jobs_;
  attempt_listener* listener_ = nullptr;
  std::unique_ptr<process_supervisor> supervisor_;
  std::unique_ptr<blob_store> blobs_;
  std::unique_ptr<storage_meter> meter_;

  mutable std::mutex mutex_;  // also for the order of jobs that follow from what it guards
  std::uint64_t incarnation_;
  attempt_ledger ledger_;
  runtime::steady_time looked_at_{};  // when the meter last did at runs with attempts

  // The worker's own:
  workspaces workspaces_;
  start_queue<attempt_message> starts_;
  std::set<std::string, std::less<>> refused_;  // tokens that hold a slot and will be tried again
  struct preparation {
    wanted_flag wanted;
    attempt_ticket ticket;
  };
  std::map<std::string, preparation, std::less<>> preparing_;   // that wait for artifacts
  std::map<std::string, wanted_flag, std::less<>> collecting_;  // what they leave is being kept

  // The other thread's, which is stopped first:
  artifact_delivery delivery_;
  worker files_;
};

}  // namespace millrace::actors
