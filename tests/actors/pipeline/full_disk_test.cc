// SPDX-License-Identifier: MIT
// What becomes of a run while its disk is full.
#include <sys/mount.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>

#include "actors/pipeline/fixture.h"

namespace millrace::actors {
namespace {

using schemas::RunState;
using schemas::TaskState;

class small_disk {
public:
  explicit small_disk(std::filesystem::path path) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=32m") == 0;
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;
  ~small_disk() {
    if (mounted_) {
      ::umount2(path_.c_str(), MNT_DETACH);
    }
  }
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  void fill() const {
    std::ofstream ballast{path_ / "ballast", std::ios::binary};
    const std::string page(4096, 'x');
    while (ballast.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) {
    }
  }
  void make_room() const { std::filesystem::remove(path_ / "ballast"); }

private:
  std::filesystem::path path_;
  bool mounted_ = false;
};

// Method: the command ends when the test closes a pipe, after it has filled the disk. Its outputs
// are so large that the journal has no free pages for them.
TEST_CASE("the result of an attempt is kept, and said once, until a full disk has room") {
  temporary_folder outside;
  const small_disk disk{outside.path / "disk"};
  if (!disk.mounted()) {
    MESSAGE("skipped: mounting a small file system is not permitted here");
    return;
  }
  const auto gate = outside.path / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  std::atomic<int> warnings{0};
  node here{disk.path(),
            {.data_directory = {}, .disk_reserve_bytes = 0, .warn = [&](std::string_view) {
               ++warnings;
             }}};
  const auto run = here.submit(
      "name: full\ntasks:\n  - name: a\n    outputs: [big]\n    run: |\n"
      "      { printf big=; head -c 60000 /dev/zero | tr '\\0' x; echo; } "
      ">> $MILLRACE_OUTPUT\n      cat " +
      gate.string() + "\n");
  here.wait_until_running(run, "a");
  std::ofstream opened{gate};  // waits for the reader
  disk.fill();
  opened.close();
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
