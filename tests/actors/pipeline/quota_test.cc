// SPDX-License-Identifier: MIT
// What a project may have of processors, memory and disks, on a real silo, with real processes.
#include <atomic>
#include <fstream>
#include <mutex>

#include "actors/pipeline/fixture.h"
#include "actors/pipeline/several_executors.h"

namespace millrace::actors {
namespace {

using runtime::ref;
using schemas::RunState;
using schemas::TaskState;
using testing::several_executors;
using namespace std::chrono_literals;

using settings_of = std::function<void(schemas::ProjectSettings::Builder)>;
using usage = schemas::pool_interface::usage_results;

const std::string a = "silo/a";

usage used(runtime::silo& silo) {
  auto told = silo.call(ref<schemas::Pool>("default").usage("default"));
  REQUIRE(told);
  return *std::move(told);
}

std::string why(runtime::silo& silo, const std::string& task) {
  schemas::pool_interface::reasons_params params;
  params.build().initTasks(1).set(0, task.c_str());
  const auto told = silo.call(ref<schemas::Pool>("default").reasons(std::move(params)));
  REQUIRE(told);
  return told->reasons()[0].cStr();
}

// Sets the project, and waits until its pool knows: `max_running` tells that, and is in no way.
void set(runtime::silo& silo, const settings_of& more) {
  static std::atomic<std::uint32_t> latest{1'000};
  const auto mark = ++latest;
  schemas::project_interface::configure_params params;
  auto settings = params.build().initSettings();
  settings.setMaxRunning(mark);
  more(settings);
  const auto done = silo.call(ref<schemas::Project>("default").configure(std::move(params)));
  REQUIRE_MESSAGE(done, (done ? std::string{} : done.error().text()));
  node::eventually([&] { return used(silo).read().getRunning().getLimit() == mark; });
}

struct four_cpus : pipeline_host_options {
  four_cpus() { resources = {{"cpu", 4'000}, {"memory", std::uint64_t{8} << 30U}}; }
};

// A task that runs until the file `go` is in its workspace.
std::string holder(const std::string& name, const std::string& resources) {
  return "{name: " + name + ", tasks: [{name: t, resources: {" + resources +
         "}, run: 'until test -e go; do sleep 0.02; done'}]}";
}
void let_go(const std::filesystem::path& data, const std::string& run) {
  std::ofstream{data / "workspaces" / run / "go"};
}

TEST_CASE("a task waits for its project's quota with a reason, and goes on when there is room") {
  temporary_folder data;
  node here{data.path, four_cpus{}};
  set(*here.silo, [](auto settings) {
    settings.setMaxCpu(2.5);
    settings.setMaxMemory(std::uint64_t{4} << 30U);
  });
  const auto first = here.submit(holder("first", "cpu: 2, memory: 3Gi"));
  here.wait_until_running(first, "t");
  const auto second = here.submit(holder("second", "memory: 2Gi"));
  const auto third = here.submit(holder("third", "cpu: 500m, memory: 1Gi"));
  here.wait_until_running(third, "t");
  CHECK(why(*here.silo, second + "/t") ==
        "waits for memory: the project 'default' uses 4Gi of 4Gi, and this task wants 2Gi");
  const auto told = used(*here.silo);
  CHECK(told.read().getCpu().getUsed() == doctest::Approx(2.5));
  CHECK(told.read().getCpu().getLimit() == doctest::Approx(2.5));
  CHECK(told.read().getMemory().getUsed() == std::uint64_t{4} << 30U);
  CHECK(told.read().getRunning().getUsed() == 2);
  CHECK(told.read().getQueuedRuns().getUsed() == 1);
  REQUIRE(here.silo->deactivate({"pool", "default"}));  // its next life counts the same
  CHECK(used(*here.silo).read().getMemory().getUsed() == std::uint64_t{4} << 30U);
  let_go(data.path, third);
  CHECK(here.wait(third) == RunState::SUCCEEDED);
  node::eventually([&] {
    return why(*here.silo, second + "/t") ==
           "waits for memory: the project 'default' uses 3Gi of 4Gi, and this task wants 2Gi";
  });
  set(*here.silo, [](auto settings) { settings.setMaxMemory(std::uint64_t{5} << 30U); });
  here.wait_until_running(second, "t");
  for (const auto& run : {first, second}) {
    let_go(data.path, run);
    CHECK(here.wait(run) == RunState::SUCCEEDED);
  }
  node::eventually([&] { return used(*here.silo).read().getMemory().getUsed() == 0; });
}

TEST_CASE("a task that asks for more than its project may ever have fails at once, and says why") {
  temporary_folder data;
  node here{data.path, four_cpus{}};
  set(*here.silo, [](auto settings) { settings.setMaxCpu(1.5); });
  const std::string text = "{name: large, tasks: [{name: t, resources: {cpu: 2}, run: 'true'}]}";
  const auto run = here.submit(text);
  CHECK(here.wait(run) == RunState::FAILED);
  const auto task = here.task(run, "t");
  CHECK(task.task().getState() == TaskState::ERRORED);
  CHECK(std::string{task.task().getReason().cStr()} ==
        "wants 2 cpu; the project 'default' may have 1500m at a time: ask for less, or have its "
        "max_cpu raised");
  const auto gang =
      here.submit("{name: ranks, tasks: [{name: g, ranks: 2, resources: {cpu: 1}, run: 'true'}]}");
  CHECK(here.wait(gang) == RunState::FAILED);
  CHECK(std::string{here.task(gang, "g[0]").task().getReason().cStr()}.starts_with(
      "2 ranks want 2 cpu; the project 'default' may have 1500m at a time"));
  set(*here.silo, [](auto settings) { settings.setMaxCpu(2); });
  CHECK(here.wait(here.submit(text)) == RunState::SUCCEEDED);
}

// Goal: a task hears that it was refused, however late it can, whoever has the pool then, and once.
// Method: an attempt of a task that cannot be reached at first, and the calls that tell it,
// counted.
TEST_CASE("a refusal is told until the task has heard of it, and then no more") {
  several_executors lab{{"a"}, 1};
  set(*lab.silo, [](auto settings) { settings.setMaxCpu(1); });
  const std::string task = "0197a1b2-c3d4-7000-8000-000000000000/t";
  std::atomic<int> told{0};
  std::atomic<bool> is_away{true};
  lab.refuse([&](const std::string& name, runtime::incoming_call&) {
    const auto tells = name == "task.attempt_finished";
    told += tells ? 1 : 0;
    return tells && is_away;
  });
  schemas::pool_interface::enqueue_params params;
  auto wish = params.build();
  wish.setTask(task.c_str());
  wish.setAttempt(1);
  wish.initWish().setProject("default");
  auto amount = wish.getWish().initResources(1)[0];
  amount.setName("cpu");
  amount.setAmount(2'000);
  const auto more_than = [&](int before) {
    node::eventually([&] {
      lab.pass(lab.timing.renewed_every, {a});
      return told > before;
    });
  };
  REQUIRE(lab.silo->call(ref<schemas::Pool>("default").enqueue(std::move(params))));
  more_than(1);
  REQUIRE(lab.silo->deactivate({"pool", "default"}));
  more_than(told);
  is_away = false;
  more_than(told);
  const auto last = told.load();
  lab.pass(60s, {a});
  CHECK(told <= last + 1);  // one may have been on its way when it could be reached
}

TEST_CASE("while a project's disks are full its tasks wait, what runs goes on, and removal helps") {
  temporary_folder data;
  node here{data.path, four_cpus{}};
  const auto large = here.submit(
      "{name: large, tasks: [{name: t, run: 'head -c 3000000 /dev/zero > file; until test -e go; "
      "do sleep 0.02; done'}]}");
  here.wait_until_running(large, "t");
  node::eventually([&] { return used(*here.silo).read().getStorage().getUsed() >= 3'000'000; });
  set(*here.silo, [](auto settings) { settings.setMaxStorage(2'000'000); });
  const auto waits = here.submit("{name: waits, tasks: [{name: t, run: 'true'}]}");
  node::eventually([&] { return !why(*here.silo, waits + "/t").empty(); });
  const auto said = why(*here.silo, waits + "/t");
  CHECK_MESSAGE(said.starts_with("waits for storage: runs of the project 'default' hold "), said);
  CHECK_MESSAGE(said.ends_with(" on the disks of executors, and may hold 2M: remove some, or have "
                               "its max_storage raised"),
                said);
  let_go(data.path, large);
  CHECK(here.wait(large) == RunState::SUCCEEDED);
  CHECK(why(*here.silo, waits + "/t").starts_with("waits for storage: "));
  REQUIRE(here.silo->deactivate({"pool", "default"}));
  CHECK(used(*here.silo).read().getStorage().getUsed() >= 3'000'000);
  REQUIRE(here.silo->call(ref<schemas::Run>(large).remove()));
  CHECK(here.wait(waits) == RunState::SUCCEEDED);
  CHECK(used(*here.silo).read().getStorage().getUsed() < 2'000'000);
}

TEST_CASE("what an executor holds is told whole to a pool that did not take it, and gone with it") {
  several_executors lab{{"a", "b"}, 1};
  std::atomic<bool> is_older{true};
  lab.refuse([&](const std::string& name, runtime::incoming_call&) {
    return is_older && name == "pool.storage";
  });
  const auto run =
      lab.submit("{name: p, tasks: [{name: t, run: 'head -c 1000000 /dev/zero > file'}]}");
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  lab.pass(4s, {a, "silo/b"});
  CHECK(used(*lab.silo).read().getStorage().getUsed() == 0);
  is_older = false;
  node::eventually([&] {
    lab.pass(2s, {a, "silo/b"});
    return used(*lab.silo).read().getStorage().getUsed() >= 1'000'000;
  });
  REQUIRE(lab.task(run, "t").attempts()[0].getExecutor() == a.c_str());
  lab.members.at(a)->die();
  lab.pass(lab.timing.lost_after() + 4s, {"silo/b"});
  node::eventually([&] { return lab.slots() == 1; });
  CHECK(used(*lab.silo).read().getStorage().getUsed() == 0);
}

TEST_CASE("what is no quota is refused") {
  temporary_folder data;
  node here{data.path};
  const auto refusal = [&](const settings_of& wrong) {
    schemas::project_interface::configure_params params;
    auto settings = params.build().initSettings();
    wrong(settings);
    const auto done = here.silo->call(ref<schemas::Project>("p").configure(std::move(params)));
    REQUIRE_FALSE(done);
    CHECK(done.error().code() == runtime::errc::invalid_argument);
    return done.error().text();
  };
  for (const auto cpu : {-1.0, 0.0001, 1e13, std::numeric_limits<double>::infinity(),
                         std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(refusal([cpu](auto settings) { settings.setMaxCpu(cpu); }).find("processors") !=
          std::string::npos);
  }
  CHECK(refusal([](auto settings) { settings.setMaxMemory(~std::uint64_t{0}); }).find("memory") !=
        std::string::npos);
}

}  // namespace
}  // namespace millrace::actors
