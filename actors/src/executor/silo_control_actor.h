// SPDX-License-Identifier: MIT
// The actor `silo_control`: the address at which operators reach one silo of a cluster.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "millrace/actors/silo_inspection.h"

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

  runtime::async<list_results> list(list_params params) override {
    return told(&list_actors, std::move(params));
  }
  runtime::async<state_of_results> state_of(state_of_params params) override {
    return told(&state_of_actor, std::move(params));
  }
  runtime::async<dead_letters_results> dead_letters(dead_letters_params params) override {
    return told(&list_dead_letters, std::move(params));
  }
  runtime::async<tend_dead_letter_results> tend_dead_letter(
      tend_dead_letter_params params) override {
    return told(&actors::tend_dead_letter, std::move(params));
  }
  // These do not block.
  runtime::async<hosts_results> hosts(hosts_params params) override {
    return answer_with(hosts_of_actor(home_, params));
  }
  runtime::async<deactivate_actor_results> deactivate_actor(
      deactivate_actor_params params) override {
    return answer_with(actors::deactivate_actor(home_, params));
  }
  runtime::async<types_results> types() override {
    return answer_with(runtime::result{open_types(home_)});
  }

private:
  template <class Results>
  static runtime::async<Results> answer_with(runtime::result<Results> answer) {
    if (!answer) {
      co_return std::move(answer).error();
    }
    co_return *std::move(answer);
  }

  // Off the turn's thread, since it waits for the disk or for an actor.
  template <class Results, class Params>
  runtime::async<Results> told(runtime::result<Results> (*how)(runtime::silo&, const Params&),
                               Params params) {
    auto answer = co_await runtime::offload(
        [home = &home_, how](const Params& wanted) { return how(*home, wanted); },
        std::move(params));
    if (!answer) {
      co_return std::move(answer).error();
    }
    co_return *std::move(answer);
  }

  runtime::silo& home_;
  const std::function<void(bool)> drain_tasks_;
};

}  // namespace millrace::actors
