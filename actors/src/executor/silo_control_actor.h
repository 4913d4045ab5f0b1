// SPDX-License-Identifier: MIT
// The actor `silo_control`: the address at which operators reach one silo of a cluster.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "millrace/actors/actor_list.h"

namespace millrace::actors {

/// Bound to its silo, and without state.
class silo_control_actor final : public schemas::silo_control_base<> {
public:
  /// `drain_tasks`: whether new tasks are to go elsewhere. Requires: `home` outlives its turns.
  silo_control_actor(runtime::silo& home, std::function<void(bool drains)> drain_tasks)
      : home_(home), drain_tasks_(std::move(drain_tasks)) {}

  runtime::async<> drain(drain_params params) override {
    const bool undo = params.undo();
    auto done = co_await runtime::offload(
        [home = &home_](bool ends) { return ends ? home->end_drain() : home->drain(); }, undo);
    if (!done) {
      co_await runtime::fail(std::move(done).error());
    }
    drain_tasks_(!undo);
  }

  runtime::async<> break_glass(break_glass_params params) override {
    auto done = co_await runtime::offload(
        [home = &home_](std::uint16_t partition, const std::string& reason) {
          return home->break_glass(runtime::partition_id{partition}, reason);
        },
        params.partition(), std::string{params.reason()});
    if (!done) {
      co_await runtime::fail(std::move(done).error());
    }
  }

  runtime::async<actor_list> list(list_params params) override {
    auto found = co_await runtime::offload(
        [home = &home_](const actor_list_params& wanted) { return list_actors(*home, wanted); },
        std::move(params));
    if (!found) {
      co_return std::move(found).error();
    }
    co_return *std::move(found);
  }

private:
  runtime::silo& home_;
  const std::function<void(bool)> drain_tasks_;
};

}  // namespace millrace::actors
