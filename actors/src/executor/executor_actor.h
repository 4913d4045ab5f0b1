// SPDX-License-Identifier: MIT
// The actor `executor`: the address at which the pool reaches the attempts of one silo.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "millrace/pipeline.capnp.actor.h"

namespace millrace::actors {

/// An attempt that a pool has granted.
struct granted_attempt {
  std::string task;  ///< Key of the task actor.
  std::uint32_t number = 0;
  std::uint64_t incarnation = 0;  ///< The life that it is for.
  std::uint64_t grant = 0;
  std::uint8_t priority = 0;
};

/// What the pool's messages come to. Threading: any thread; must not block, but for `remove_run`.
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
};

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
  runtime::async<> grant(grant_params params) override {
    for (auto each : params.grants()) {
      runner_->granted({each.getTask(), each.getAttempt(), params.incarnation(), each.getNumber(),
                        each.getPriority()});
    }
    return {};
  }
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

private:
  const runner_of find_;
  attempt_runner* runner_ = nullptr;
};

}  // namespace millrace::actors
