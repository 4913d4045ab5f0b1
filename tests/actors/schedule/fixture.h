// SPDX-License-Identifier: MIT
// Schedules on a silo whose clock the test moves. No executor takes anything, so a run goes on
// until the test cancels it; one whose only task is skipped ends at once.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "millrace/actors/definition.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/rfc3339.h"
#include "millrace/testing/test_silo.h"
#include "pipeline/pipeline_actor.h"
#include "pool/pool_actor.h"
#include "project/project_actor.h"
#include "run/run_actor.h"
#include "schedule/schedule_actor.h"
#include "task/task_actor.h"

namespace millrace::actors {

using runtime::ref;
using schemas::FiringState;
using schemas::schedule_interface;
using testing::test_silo;

inline const std::string lasting = "tasks: [{name: a, run: x}]\n";
inline const std::string ending = "tasks: [{name: a, run: x, when: \"false\"}]\n";

class scheduled {
public:
  explicit scheduled(std::unique_ptr<runtime::storage> rows = runtime::make_memory_storage())
      : silo([this](runtime::silo& here) { prepare(here); }, {}, std::move(rows)) {}

  void apply(const std::string& text) {
    const auto made = load_definition("name: x\n" + text, "");
    for (const auto& each : made.diagnostics) {
      MESSAGE(to_string(each));
    }
    REQUIRE(made);
    REQUIRE(silo.call(pipeline().apply(to_json(*made.definition), 0, schemas::ApplyOnlyIf::ANY)));
  }
  schedule_interface::describe_results described(const std::string& name = "default") {
    auto told = silo.call(schedule().describe(name, 3, 100));
    REQUIRE(told);
    return *std::move(told);
  }
  // `TIME STATE`, the latest first; times are those of 2020-01-01.
  std::vector<std::string> firings(const std::string& name = "default") {
    std::vector<std::string> all;
    const auto told = described(name);
    for (const auto each : told.firings()) {
      std::string time;
      runtime::append_rfc3339(time, each.getScheduledAt());
      all.push_back(time.substr(11) + " " + word(each.getState()));
    }
    return all;
  }
  // Ids of runs, the oldest first.
  std::vector<std::string> runs() {
    std::vector<std::string> all;
    const auto told = silo.call(pipeline().runs("", 1'000, "", ""));
    REQUIRE(told);
    for (const auto each : told->runs()) {
      all.insert(all.begin(), each.getId().cStr());
    }
    return all;
  }
  void end(const std::string& run) {
    REQUIRE(silo.call(ref<schemas::Run>(run).cancel("enough", true)));
  }
  static std::string word(FiringState state) {
    const auto name =
        capnp::Schema::from<FiringState>().getEnumerants()[static_cast<unsigned>(state)];
    return name.getProto().getName().cStr();
  }
  static runtime::actor_ref<schemas::Pipeline> pipeline() { return ref<schemas::Pipeline>("p/x"); }
  static runtime::actor_ref<schemas::Schedule> schedule() { return ref<schemas::Schedule>("p/x"); }

  schedule_figures figures;
  pool_figures pools;
  test_silo silo;

private:
  void prepare(runtime::silo& here) {
    here.add<project_actor>();
    here.add<pipeline_actor>(
        []() -> std::unique_ptr<pipeline_actor> { return std::make_unique<pipeline_actor>(); });
    here.add<schedule_actor>([this]() -> std::unique_ptr<schedule_actor> {
      return std::make_unique<schedule_actor>(figures);
    });
    here.add<run_actor>();
    here.add<task_actor>();
    here.add<pool_actor>([this, &here]() -> std::unique_ptr<pool_actor> {
      return std::make_unique<pool_actor>(here.time(), std::nullopt, pools);
    });
  }
};

}  // namespace millrace::actors
