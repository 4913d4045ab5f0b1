// SPDX-License-Identifier: MIT
// The actor `executor`: the address at which the pool reaches the attempts of one silo.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "millrace/actors/executor.h"
#include "millrace/actors/process_log.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::actors {

/// An attempt that a pool has granted.
struct granted_attempt {
  std::string task;  ///< Key of the task actor.
  std::uint32_t number = 0;
  std::uint64_t incarnation = 0;  ///< The life that it is for.
  std::uint64_t grant = 0;
  std::uint32_t priority = 0;
  std::shared_ptr<const std::string> hosts = {};  ///< Of one of a gang: as of `AttemptSpec`.
};

/// Which part of a log somebody wants.
struct log_wish {
  std::string token;
  output_stream stream = output_stream::standard_output;
  std::uint64_t offset = 0;  ///< Of the first byte, without a tail.
  std::optional<std::size_t> tail_lines;
  std::size_t bytes_max;
  bool wants_times = false;
};

/// A part of a log, and whether that is all there will be.
struct log_piece {
  log_chunk chunk;
  bool ended = false;
  std::vector<log_time> times = {};  ///< Of the chunk, if they are wanted.
};

/// What messages to an executor come to. Threading: any thread; must not block, where it does not
/// say so.
class attempt_runner {
public:
  attempt_runner() = default;
  attempt_runner(const attempt_runner&) = delete;
  attempt_runner& operator=(const attempt_runner&) = delete;
  virtual ~attempt_runner() = default;
  virtual void granted(granted_attempt attempt) = 0;
  virtual void cancel(std::string_view token) = 0;
  /// Deletes what the attempts of an ended run left in files. Cost: blocks on the disk.
  [[nodiscard]] virtual runtime::result<void> remove_run(std::string_view run) = 0;
  /// At most `log_piece_bytes_max`. Errors: those of `executor::open_log`, but nothing where
  /// nothing is kept. Cost: blocks on the disk.
  [[nodiscard]] virtual runtime::result<log_piece> read_log(const log_wish& wish) const = 0;
  /// As `executor::watch_log`; tells the executor of the name `id` of it, as `waiter`.
  [[nodiscard]] virtual runtime::result<log_waiter_id> watch_log(const log_wish& wish,
                                                                 const std::string& id,
                                                                 std::uint64_t waiter) = 0;
  virtual void forget_waiter(log_waiter_id waiter) = 0;
  /// As `executor::read_blob`.
  [[nodiscard]] virtual runtime::result<blob_piece> read_blob(std::string_view run,
                                                              std::string_view digest,
                                                              std::uint64_t offset) const = 0;
  /// As `executor::keep_for`.
  [[nodiscard]] virtual runtime::result<void> keep_for(std::string_view run,
                                                       std::string_view digest,
                                                       std::string_view project,
                                                       kept_thing what) = 0;
};

inline constexpr std::size_t log_piece_bytes_max = std::size_t{64} << 10U;

/// Bound to its silo, and without state: what runs is in the executor's records, and what was
/// granted is in the pool.
class executor_actor final : public schemas::executor_base<> {
public:
  /// Which runner the executor of a name is. Requires: it outlives the silo's turns.
  using runner_of = std::function<attempt_runner&(std::string_view)>;
  explicit executor_actor(runner_of runner) : find_(std::move(runner)) {}

  runtime::async<> on_activate() override {
    runner_ = &find_(key());
    return {};
  }
  runtime::async<> grant(grant_params params) override;
  runtime::async<> cancel(cancel_params params) override {
    runner_->cancel(params.token());
    return {};
  }
  runtime::async<> remove_run(remove_run_params params) override {
    auto removed = co_await runtime::offload(
        [runner = runner_](const std::string& run) { return runner->remove_run(run); },
        std::string{params.run()});
    if (!removed) {
      co_await runtime::fail(std::move(removed).error());
    }
  }
  runtime::async<> start(start_params) override { return {}; }

  runtime::async<log_results> log(log_params params) override;
  runtime::async<blob_results> blob(blob_params params) override;
  runtime::async<> keep_for(keep_for_params params) override;
  runtime::async<> log_changed(log_changed_params params) override {
    notify(signal_of(params.waiter()));
    return {};
  }

private:
  static std::string signal_of(std::uint64_t waiter) { return "log " + std::to_string(waiter); }

  const runner_of find_;
  attempt_runner* runner_ = nullptr;
  std::uint64_t waiters_ = 0;  // ever
};

}  // namespace millrace::actors
