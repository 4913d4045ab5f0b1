// SPDX-License-Identifier: MIT
// Tasks that go to the executors of their pool, on a real silo, with real processes.
#include <fstream>

#include "actors/pipeline/several_executors.h"
#include "pool/wish_rows.h"

namespace millrace::actors {
namespace {

using runtime::ref;
using schemas::RunState;
using schemas::TaskState;
using testing::several_executors;

struct of_pools : pipeline_host_options {
  explicit of_pools(pool_names of) { pools = std::move(of); }
};

std::string why(runtime::silo& silo, const std::string& run, const std::string& task) {
  schemas::pool_interface::reasons_params params;
  params.build().initTasks(1).set(0, (run + "/" + task).c_str());
  const auto told = silo.call(ref<schemas::Pool>(std::string{pool_key}).reasons(std::move(params)));
  REQUIRE(told);
  return text_of(told->reasons()[0]);
}

std::string executor_of(const several_executors& lab, const std::string& run,
                        const std::string& name) {
  const auto told = lab.task(run, name);
  REQUIRE(told.attempts().size() == 1);
  return text_of(told.attempts()[0].getExecutor());
}

TEST_CASE("tasks run on the executors of their pools, of which one may have several") {
  several_executors lab{{"a", "b", "c"}, 1, {}, {{"b", {"gpu"}}, {"c", {"gpu", "disk"}}}};
  const auto run = lab.submit(
      "name: p\nworkspace: task\ntasks:\n"
      "  - {name: plain, for_each: [1, 2, 3], run: 'true'}\n"
      "  - {name: train, pool: gpu, ranks: 2, run: 'true'}\n"
      "  - {name: save, pool: disk, needs: train, run: 'true', finally: 'true'}\n");
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  for (const auto* name : {"plain[0]", "plain[1]", "plain[2]"}) {
    CHECK(executor_of(lab, run, name) == "silo/a");
  }
  CHECK(executor_of(lab, run, "train[0]") != executor_of(lab, run, "train[1]"));
  CHECK(executor_of(lab, run, "train[0]") != "silo/a");
  CHECK(executor_of(lab, run, "train[1]") != "silo/a");
  CHECK(executor_of(lab, run, "save") == "silo/c");
  CHECK(executor_of(lab, run, "save.finally") == "silo/c");
  CHECK(lab.task(run, "save").pool() == "disk");
  CHECK(lab.task(run, "plain[0]").pool() == "default");

  const auto told = lab.silo->call(ref<schemas::Pool>(std::string{pool_key}).status());
  REQUIRE(told);
  const auto pools = told->pools();
  REQUIRE(pools.size() == 3);
  CHECK(pools[0].getName() == "default");
  CHECK(pools[0].getSlots() == 1);
  CHECK(pools[2].getName() == "gpu");
  CHECK(pools[2].getSlots() == 2);
  CHECK(pools[2].getExecutors() == 2);
  REQUIRE(told->offers().size() == 3);
  CHECK(names_of(told->offers()[2].getPools()) == pool_names{"disk", "gpu"});
}

TEST_CASE("the pools of executors and tasks outlive the actor that keeps them") {
  several_executors lab{{"a", "b"}, 1, {}, {{"b", {"gpu"}}}};
  const auto run = lab.submit(
      "name: p\nworkspace: task\npool: attic\ntasks:\n"
      "  - {name: waits, run: 'true'}\n  - {name: goes, pool: gpu, run: 'true'}\n");
  lab.wait_until(run, "goes", TaskState::SUCCEEDED);
  REQUIRE(lab.silo->deactivate({"pool", std::string{pool_key}}));
  node::eventually([&] { return lab.silo->activations("pool")->items.empty(); });
  CHECK(why(*lab.silo, run, "waits") ==
        "waits for pool attic: no executor of a silo belongs to it");
  const auto again = lab.submit("{name: q, pool: gpu, tasks: [{name: t, run: 'true'}]}");
  CHECK(lab.wait(again) == RunState::SUCCEEDED);
  CHECK(executor_of(lab, again, "t") == "silo/b");
}

TEST_CASE("a run that shares a workspace waits for an executor that has all of its pools") {
  several_executors lab{{"a", "b", "c"}, 1, {}, {{"b", {"gpu"}}, {"c", {"gpu", "default"}}}};
  const auto run = lab.submit(
      "name: p\ntasks:\n  - {name: load, run: echo 1 > data}\n"
      "  - {name: train, pool: gpu, needs: load, run: cat data}\n");
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(executor_of(lab, run, "load") == "silo/c");
  CHECK(executor_of(lab, run, "train") == "silo/c");
}

// Goal: an executor that comes back to other pools gets no more of the one that it has left, and
// what waits goes on when somebody belongs to that again.
TEST_CASE("a task waits through restarts until an executor belongs to its pool") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(
        "{name: p, pool: gpu, tasks: [{name: a, run: 'true'}, {name: b, needs: a, run: 'true'}]}");
    node::eventually([&] { return !why(*here.silo, run, "a").empty(); });
    CHECK(why(*here.silo, run, "a") == "waits for pool gpu: no executor of a silo belongs to it");
  }
  {
    node here{data.path, of_pools{{"gpu"}}};
    CHECK(here.wait(run) == RunState::SUCCEEDED);
    const auto other = here.submit("{name: q, tasks: [{name: a, run: 'true'}]}");
    node::eventually([&] { return !why(*here.silo, other, "a").empty(); });
    CHECK(why(*here.silo, other, "a") ==
          "waits for pool default: no executor of a silo belongs to it");
    run = other;
  }
  node here{data.path, of_pools{{std::string{every_pool}}}};
  CHECK(here.wait(run) == RunState::SUCCEEDED);
}

}  // namespace
}  // namespace millrace::actors
