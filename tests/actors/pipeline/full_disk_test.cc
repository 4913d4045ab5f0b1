// SPDX-License-Identifier: MIT
// What becomes of a run while its disk is full.
#include <sys/stat.h>

#include <atomic>
#include <fstream>

#include "actors/pipeline/several_executors.h"

namespace millrace::actors {
namespace {

using millrace::testing::small_disk;
using schemas::RunState;
using schemas::TaskState;

// Method: 120 commands end when the test says so, after it has filled the disk. Their outputs
// take more together than storage has in reserve.
TEST_CASE("the result of an attempt is kept, and said once, until a full disk has room") {
  temporary_folder outside;
  const small_disk disk{outside.path / "disk"};
  if (!disk.mounted()) {
    return;
  }
  constexpr unsigned width = 120;
  std::atomic<int> warnings{0};
  node here{disk.path(),
            {.data_directory = {},
             .slots = width,
             .disk_reserve_bytes = 0,
             .warn = [&](std::string_view) { ++warnings; }}};
  std::string items;
  for (unsigned at = 0; at < width; ++at) {
    items += (at == 0 ? "" : ",") + std::to_string(at);
  }
  const auto signs = outside.path.string() + "/";
  REQUIRE(::mkfifo((signs + "go").c_str(), 0600) == 0);
  const auto run = here.submit(
      "name: full\ntasks:\n  - name: a\n    outputs: [big]\n    for_each: [" + items +
      "]\n    run: |\n"
      "      { printf big=; head -c 60000 /dev/zero | tr '\\0' x; echo; } >> $MILLRACE_OUTPUT\n"
      "      touch " +
      signs + "ready.$MILLRACE_INDEX\n      read go < " + signs + "go\n");
  here.eventually([&] {
    unsigned ready = 0;
    for (unsigned at = 0; at < width; ++at) {
      ready += std::filesystem::exists(signs + "ready." + std::to_string(at)) ? 1 : 0;
    }
    return ready == width;
  });
  disk.fill();
  std::fstream go{signs + "go"};  // both its ends: who comes later finds its line, too
  go << std::string(width, '\n') << std::flush;
  here.eventually([&] { return here.host->trouble().has_value(); });
  const auto trouble = here.host->trouble();
  REQUIRE(trouble);
  CHECK(trouble->code() == runtime::errc::out_of_space);
  CHECK(trouble->text().starts_with("disk full: "));
  CHECK(trouble->text().find(disk.path().string()) != std::string::npos);
  disk.make_room();
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  here.eventually([&] { return !here.host->trouble() && warnings == 2; });
}

// Method: a tenth of the disk, 12 MiB, stays free. It is filled while the task waits to write.
TEST_CASE("a task whose output would fill the disk is ended as errored") {
  temporary_folder outside;
  const small_disk disk{outside.path / "disk", 128};
  if (!disk.mounted()) {
    return;
  }
  node here{disk.path(), {.data_directory = {}}};
  const auto signs = outside.path.string() + "/";
  REQUIRE(::mkfifo((signs + "go").c_str(), 0600) == 0);
  const auto run = here.submit("name: full\ntasks:\n  - name: a\n    run: |\n      touch " + signs +
                               "ready\n      read go < " + signs +
                               "go\n      while sleep 0.05; do echo more; done\n");
  here.eventually([&] { return std::filesystem::exists(signs + "ready"); });
  disk.fill(std::uintmax_t{10} << 20U);
  std::fstream go{signs + "go"};  // both its ends
  go << '\n' << std::flush;
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "a").task().getState() == TaskState::ERRORED);
  const std::string reason = here.task(run, "a").task().getReason();
  CHECK(reason.starts_with("disk full: "));
  CHECK(reason.find(disk.path().string()) != std::string::npos);
}

// Method: `silo/a`, which comes first, is granted the attempt before anybody has seen that its disk
// is full.
TEST_CASE(
    "an executor whose disk is full gives back what it has, and takes work when it has room") {
  temporary_folder outside;
  const small_disk disk{outside.path / "disk"};
  if (!disk.mounted()) {
    return;
  }
  testing::several_executors lab{{"a", "b"}, 1, {{"a", disk.path()}}};
  const std::set<std::string> both{"silo/a", "silo/b"};
  const auto waiting_reason = [&] {
    const auto pool = lab.silo->call(runtime::ref<schemas::Pool>(std::string{pool_key}).status());
    REQUIRE(pool);
    return std::string{pool->read().getWaitingReason().cStr()};
  };
  const std::string once = "name: p\nworkspace: task\ntasks: [{name: t, run: echo hello}]\n";
  const auto pass_until = [&](const std::function<bool()>& is_so) {
    node::eventually([&] {
      lab.pass(lab.timing.renewed_every, both);
      return is_so();
    });
  };
  disk.fill();
  const auto moved = lab.submit(once);
  auto& attempts = lab.members.at("silo/a")->attempts();
  node::eventually([&] { return attempts.list().size() == 1; });
  pass_until([&] { return attempts.list().empty(); });
  CHECK(lab.wait(moved) == RunState::SUCCEEDED);
  const auto tried = lab.task(moved, "t");
  REQUIRE(tried.attempts().size() == 2);
  CHECK(tried.attempts()[0].getEnd() == schemas::AttemptEnd::DROPPED);
  CHECK(std::string{tried.attempts()[0].getText().cStr()}.substr(0, 11) == "disk full: ");
  CHECK(tried.attempts()[1].getExecutor() == "silo/b");

  const auto pool = runtime::ref<schemas::Pool>(std::string{pool_key});
  REQUIRE(lab.silo->call(pool.drain("silo/b", false, "")));
  const auto waits = lab.submit(once);
  node::eventually([&] { return !waiting_reason().empty(); });
  CHECK(waiting_reason().starts_with("executor 'silo/a' takes nothing new: disk full: "));
  CHECK(waiting_reason().find(disk.path().string()) != std::string::npos);
  disk.make_room();
  pass_until([&] { return waiting_reason().find("silo/a") == std::string::npos; });
  CHECK(lab.wait(waits) == RunState::SUCCEEDED);
  CHECK(lab.task(waits, "t").attempts()[0].getExecutor() == "silo/a");
}

// Method: `silo/a` comes first, and would be granted what waits when it joins. Of its disk a
// tenth, 12 MiB, stays free.
TEST_CASE("an executor that joins with a full disk says so, and is granted nothing") {
  temporary_folder outside;
  const small_disk disk{outside.path / "disk", 128};
  if (!disk.mounted()) {
    return;
  }
  disk.fill(std::uintmax_t{10} << 20U);  // enough to start an attempt, too little for its output
  testing::several_executors lab{{"a", "b"}, 1, {{"a", disk.path()}}};
  const auto run = lab.submit("name: p\ntasks: [{name: t, run: echo hello}]\n");
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  REQUIRE(lab.task(run, "t").attempts().size() == 1);
  CHECK(lab.task(run, "t").attempts()[0].getExecutor() == "silo/b");
}

}  // namespace
}  // namespace millrace::actors
