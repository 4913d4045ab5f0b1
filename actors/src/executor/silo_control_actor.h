// SPDX-License-Identifier: MIT
// The actor `silo_control`: the address at which operators reach one silo of a cluster.
#pragma once

#include <algorithm>
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
    const auto purpose = params.decommission() ? runtime::drain_purpose::decommission
                                               : runtime::drain_purpose::pause;
    auto done = co_await runtime::offload(
        [home = &home_](bool ends, runtime::drain_purpose why) {
          return ends ? home->end_drain() : home->drain(why);
        },
        undo, purpose);
    if (!done) {
      co_await runtime::fail(std::move(done).error());
    }
    drain_tasks_(!undo);
  }

  runtime::async<> break_glass(break_glass_params params) override {
    if (params.empty()) {
      co_await refuse_if_there_is_a_copy(params.partition());
    }
    auto done = co_await runtime::offload(
        [home = &home_](std::uint16_t partition, const std::string& reason, bool is_empty) {
          return home->break_glass(
              runtime::partition_id{partition}, reason,
              is_empty ? runtime::glass_content::nothing : runtime::glass_content::copy);
        },
        params.partition(), std::string{params.reason()}, params.empty());
    if (!done) {
      co_await runtime::fail(std::move(done).error());
    }
  }

  runtime::async<has_copy_results> has_copy(has_copy_params params) override {
    auto found = co_await runtime::offload(
        [home = &home_](std::uint16_t partition) {
          return home->has_copy(runtime::partition_id{partition});
        },
        params.partition());
    if (!found) {
      co_return std::move(found).error();
    }
    co_return has_copy_results{*found};
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
  // A silo that is in and does not answer may have one. It itself looks when it is done.
  runtime::async<> refuse_if_there_is_a_copy(std::uint16_t partition) {
    const auto view = home_.cluster_view();
    const auto what = "partition " + std::to_string(partition);
    if (partition < view.partitions.size() && !view.partitions[partition].primary.empty()) {
      co_await runtime::fail(
          {runtime::errc::failed_precondition,
           what + " is led by silo '" + view.partitions[partition].primary + "', which is in"});
    }
    for (const auto& each : view.silos) {
      if (!each.roles.state || each.name == home_.name()) {
        continue;
      }
      const auto found =
          co_await runtime::as_result(runtime::ref<schemas::SiloControl>(each.name + "/asked")
                                          .has_copy(partition)
                                          .timeout(copy_told_within));
      if (!found) {
        co_await runtime::fail({runtime::errc::failed_precondition,
                                "silo '" + each.name + "' may have a copy of " + what +
                                    ", and cannot be asked: " + found.error().text()});
      }
      if (found->found()) {
        co_await runtime::fail(
            {runtime::errc::failed_precondition,
             "silo '" + each.name + "' has a copy of " + what + ": it can go on from that one"});
      }
    }
    for (const auto& each : home_.cluster_view().silos) {
      const auto is_asked = [&](const auto& one) {
        return one.name == each.name && one.incarnation == each.incarnation;
      };
      if (each.roles.state && std::none_of(view.silos.begin(), view.silos.end(), is_asked)) {
        co_await runtime::fail({runtime::errc::failed_precondition,
                                "silo '" + each.name +
                                    "' has come meanwhile, and may have a copy of " + what +
                                    "; try again"});
      }
    }
  }

  static constexpr auto copy_told_within = std::chrono::seconds{2};

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
