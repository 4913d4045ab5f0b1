// SPDX-License-Identifier: MIT
// What becomes of a run while its disk is full.
#include <sys/stat.h>

#include <atomic>
#include <fstream>

#include "actors/pipeline/fixture.h"

namespace millrace::actors {
namespace {

using schemas::RunState;
using schemas::TaskState;
using testing::small_disk;

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
  const auto run = here.submit(
      "name: full\ntasks:\n  - name: a\n    outputs: [big]\n    for_each: [" + items +
      "]\n    run: |\n"
      "      { printf big=; head -c 60000 /dev/zero | tr '\\0' x; echo; } >> $MILLRACE_OUTPUT\n"
      "      touch " +
      signs + "ready.$MILLRACE_INDEX\n      until test -e " + signs + "go; do sleep 0.05; done\n");
  here.eventually([&] {
    unsigned ready = 0;
    for (unsigned at = 0; at < width; ++at) {
      ready += std::filesystem::exists(signs + "ready." + std::to_string(at)) ? 1 : 0;
    }
    return ready == width;
  });
  disk.fill();
  std::ofstream{signs + "go"};
  here.eventually([&] { return here.host->trouble().has_value(); });
  const auto trouble = here.host->trouble();
  REQUIRE(trouble);
  CHECK(trouble->code() == runtime::errc::out_of_space);
  CHECK(trouble->text().starts_with("disk full: "));
  CHECK(trouble->text().find(disk.path().string()) != std::string::npos);
  disk.make_room();
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  here.eventually([&] { return !here.host->trouble(); });
  CHECK(warnings == 2);
}

TEST_CASE("a task whose output would fill the disk is ended as errored") {
  temporary_folder data;
  node here{data.path, {.data_directory = {}, .disk_reserve_bytes = std::uint64_t{1} << 60U}};
  const auto run = here.submit("name: full\ntasks: [{name: a, command: [\"yes\"]}]\n");
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "a").task().getState() == TaskState::ERRORED);
  const std::string reason = here.task(run, "a").task().getReason();
  CHECK(reason.starts_with("disk full: "));
  CHECK(reason.find(data.path.string()) != std::string::npos);
}

}  // namespace
}  // namespace millrace::actors
