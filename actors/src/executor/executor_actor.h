// SPDX-License-Identifier: MIT
// The actor `executor`: the address at which tasks reach the processes of one silo.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "millrace/pipeline.capnp.actor.h"

namespace millrace::actors {

/// What runs attempts. Threading: any thread; must not block, but for `remove_run`.
class attempt_runner {
public:
  attempt_runner() = default;
  attempt_runner(const attempt_runner&) = delete;
  attempt_runner& operator=(const attempt_runner&) = delete;
  virtual ~attempt_runner() = default;
  virtual void start(runtime::message<schemas::AttemptSpec> attempt) = 0;
  virtual void cancel(std::string_view token) = 0;
  /// Deletes what the attempts of an ended run left in files. Cost: blocks on the disk.
  [[nodiscard]] virtual runtime::result<void> remove_run(std::string_view run) = 0;
};

/// Stateless: what runs is in the attempt table, and what was granted is in the pool.
class executor_actor final : public schemas::executor_base<> {
public:
  explicit executor_actor(attempt_runner& runner) : runner_(runner) {}

  runtime::async<> start(start_params params) override {
    runner_.start(runtime::message<schemas::AttemptSpec>{params.attempt()});
    return {};
  }
  runtime::async<> cancel(cancel_params params) override {
    runner_.cancel(params.token());
    return {};
  }

  runtime::async<> remove_run(remove_run_params params) override {
    auto removed = co_await runtime::offload(
        [runner = &runner_](const std::string& run) { return runner->remove_run(run); },
        std::string{params.run()});
    if (!removed) {
      co_await runtime::fail(std::move(removed).error());
    }
  }

private:
  attempt_runner& runner_;
};

}  // namespace millrace::actors
