// SPDX-License-Identifier: MIT
// Goal: what projects hold on a disk is what their runs' files take, in every life.
// Method: real files in a scratch directory, compared with what `du` counts of them: blocks.
#include "executor/storage_meter.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "folders.h"
#include "millrace/actors/run_id.h"
#include "millrace/runtime/clock.h"

namespace millrace::actors {
namespace {

namespace fs = std::filesystem;
using testing::temporary_folder;

std::uint64_t blocks_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

void write(const fs::path& path, std::size_t bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream file{path, std::ios::binary};
  file << std::string(bytes, 'x');
  REQUIRE(file.flush());
}

// So that the first look takes an hour: its time passes as it is asked for, and then stands still.
class slow_clock final : public runtime::clock {
public:
  [[nodiscard]] runtime::steady_time steady() const override {
    return runtime::steady_time{std::chrono::hours{std::min(++asked_, 10)}};
  }
  [[nodiscard]] runtime::wall_time wall() const override { return {}; }

private:
  mutable std::atomic<int> asked_{0};
};

struct lab {
  void open() { open(time); }
  void open(const runtime::clock& by) {
    meter.reset();
    auto opened = storage_meter::open(folder.path, by);
    REQUIRE(opened);
    meter = *std::move(opened);
  }
  std::string run(const std::string& project) {
    auto made = make_run_id(time.wall(), random);
    meter->own(made, project);
    return made;
  }
  // Asks until it is that.
  void until(const storage_by_project& wanted) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
    auto found = meter->by_project();
    while (found != wanted && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
      found = meter->by_project();
    }
    CHECK(found == wanted);
  }

  [[nodiscard]] std::string link_of(const std::string& run) const {
    std::error_code none;
    return fs::read_symlink(folder.path / "projects" / run, none).string();
  }

  temporary_folder folder;
  runtime::system_clock time;
  runtime::rng random;
  std::unique_ptr<storage_meter> meter;
  const fs::path logs = folder.path / "logs";
  const fs::path rooms = folder.path / "workspaces";
  const fs::path blobs = folder.path / "artifacts" / "runs";
};

TEST_CASE("a project holds the logs and workspaces of its runs, until they are gone") {
  lab here;
  here.open();
  here.until({});
  const auto a = here.run("p");
  const auto b = here.run("p");
  const auto c = here.run("q");
  write(here.logs / a / "t.out", 10'000);
  write(here.rooms / a / "deep" / "down" / "file", 100'000);
  write(here.rooms / b / "file", 5'000);
  write(here.logs / c / "t.out", 1);
  const auto of_a = blocks_of(here.logs / a / "t.out") + blocks_of(here.rooms / a / "deep") +
                    blocks_of(here.rooms / a / "deep" / "down") +
                    blocks_of(here.rooms / a / "deep" / "down" / "file");
  const auto of_b = blocks_of(here.rooms / b / "file");
  const auto of_c = blocks_of(here.logs / c / "t.out");
  CHECK(of_a >= 110'000);
  for (const auto& each : {a, b, c}) {
    here.meter->look_at(each);
  }
  here.until({{"p", of_a + of_b}, {"q", of_c}});
  here.open();  // the next life knows whose they are
  here.until({{"p", of_a + of_b}, {"q", of_c}});
  fs::remove_all(here.rooms / a / "deep");
  here.meter->look_at(a);
  here.until({{"p", blocks_of(here.logs / a / "t.out") + of_b}, {"q", of_c}});
  here.meter->forget(a);
  here.meter->forget(c);
  here.until({{"p", of_b}});
  here.open();
  here.until({{"p", of_b}});
}

// Goal: runs that have ended and left nothing cost nothing, neither memory nor a file.
TEST_CASE("a run that holds nothing is forgotten once nobody uses it") {
  lab here;
  here.open();
  const auto until_known = [&](std::size_t count) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
    while (here.meter->known() != count && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    CHECK(here.meter->known() == count);
  };
  const auto nothing = here.run("p");
  const auto twice = here.run("p");
  const auto logs = here.run("p");
  here.meter->own(twice, "p");
  write(here.logs / logs / "t.out", 1);
  for (const auto& each : {nothing, twice, logs}) {
    here.meter->leave(each);
  }
  until_known(2);
  CHECK(here.link_of(nothing).empty());
  const auto of_logs = blocks_of(here.logs / logs / "t.out");
  here.until({{"p", of_logs}});
  write(here.rooms / twice / "file", 5'000);  // by its other user
  here.meter->leave(twice);
  here.until({{"p", of_logs + blocks_of(here.rooms / twice / "file")}});
  fs::remove_all(here.rooms / twice);
  here.meter->look_at(twice);
  until_known(1);
  here.meter->own(nothing, "q");  // a later attempt of its run
  until_known(2);
  here.open();
  until_known(1);  // an earlier life's had no files
  here.until({{"p", of_logs}});
}

TEST_CASE("an artifact counts once for a project, and for each project that has it") {
  lab here;
  here.open();
  const auto a = here.run("p");
  const auto b = here.run("p");
  const auto c = here.run("q");
  write(here.blobs / a / "one", 20'000);
  for (const auto& each : {b, c}) {
    fs::create_directories(here.blobs / each);
    fs::create_hard_link(here.blobs / a / "one", here.blobs / each / "one");
  }
  write(here.blobs / b / "two", 40'000);
  const auto one = blocks_of(here.blobs / a / "one");
  const auto two = blocks_of(here.blobs / b / "two");
  for (const auto& each : {a, b, c, a}) {
    here.meter->look_at(each);
  }
  here.until({{"p", one + two}, {"q", one}});
  here.meter->forget(b);
  here.until({{"p", one}, {"q", one}});
  here.meter->forget(a);
  here.until({{"q", one}});
}

TEST_CASE("what a task leaves in its way is neither followed nor waited for, and counts once") {
  lab here;
  here.open();
  const auto a = here.run("p");
  const auto room = here.rooms / a;
  write(here.folder.path / "elsewhere" / "large", 1'000'000);
  write(room / "file", 9'000);
  fs::create_hard_link(room / "file", room / "again");
  fs::create_directory_symlink(here.folder.path / "elsewhere", room / "link");
  fs::create_directory_symlink(room, room / "loop");
  REQUIRE(::mkfifo((room / "pipe").c_str(), S_IRUSR | S_IWUSR) == 0);
  here.meter->look_at(a);
  here.until({{"p", blocks_of(room / "file") + blocks_of(room / "link") + blocks_of(room / "loop") +
                        blocks_of(room / "pipe")}});
}

TEST_CASE("what is nobody's, or no run, counts for nobody") {
  lab here;
  here.open();
  const auto a = make_run_id(here.time.wall(), here.random);
  write(here.logs / a / "t.out", 10'000);
  here.meter->look_at(a);
  here.meter->own(a, "");  // an older task
  here.meter->own(a, "../escape");
  here.meter->own("../../etc", "p");
  here.meter->forget("../../etc");
  here.meter->look_at(a);
  here.until({});
  CHECK(fs::is_empty(here.folder.path / "projects"));
  here.meter->own(a, "p");
  here.meter->own(a, "q");  // the first counts
  here.meter->look_at(a);
  const auto bytes = blocks_of(here.logs / a / "t.out");
  here.until({{"p", bytes}});
  CHECK(here.link_of(a) == "p:" + std::to_string(bytes));
}

TEST_CASE("the next life counts what links say at once, and then looks at one run at a time") {
  lab here;
  here.open();
  const auto a = here.run("p");
  const auto b = here.run("p");
  for (const auto& each : {a, b}) {
    write(here.logs / each / "t.out", 10'000);
    here.meter->look_at(each);
  }
  const auto before = blocks_of(here.logs / a / "t.out");
  here.until({{"p", 2 * before}});
  here.meter.reset();
  for (const auto& each : {a, b}) {
    write(here.logs / each / "t.out", 100'000);
  }
  const slow_clock slow;
  here.open(slow);
  CHECK(here.meter->by_project().at("p") >= 2 * before);
  here.until({{"p", before + blocks_of(here.logs / a / "t.out")}});
  here.meter.reset();
}

TEST_CASE("a link of nonsense is nobody's, and one that could not be made is tried again") {
  lab here;
  const auto links = here.folder.path / "projects";
  fs::create_directories(links / "new");  // in the way of each link
  const auto odd = make_run_id(here.time.wall(), here.random);
  const auto cut = make_run_id(here.time.wall(), here.random);
  fs::create_symlink("a/b:10", links / odd);
  fs::create_symlink(std::string(300, 'x'), links / cut);
  fs::create_symlink("p:10", links / "no run");
  here.open();
  here.until({});
  const auto a = here.run("p");
  for (const auto& each : {odd, cut}) {
    CHECK(here.link_of(each).empty());
    write(here.logs / each / "t.out", 10'000);
    here.meter->look_at(each);
  }
  CHECK(here.link_of("no run").empty());
  write(here.logs / a / "t.out", 1'000);
  here.meter->look_at(a);
  here.until({{"p", blocks_of(here.logs / a / "t.out")}});
  CHECK(here.link_of(a).empty());
  fs::remove(links / "new");
  write(here.logs / a / "t.out", 100'000);
  here.meter->look_at(a);
  const auto bytes = blocks_of(here.logs / a / "t.out");
  here.until({{"p", bytes}});
  CHECK(here.link_of(a) == "p:" + std::to_string(bytes));
}

TEST_CASE("of very many artifact files the last ones count for each run that has them") {
  lab here;
  here.open();
  const auto a = here.run("p");
  const auto b = here.run("p");
  constexpr std::size_t further = 10;
  fs::create_directories(here.blobs / b);
  for (std::size_t at = 0; at < shared_files_max + further; ++at) {
    const auto name = std::to_string(at);
    write(here.blobs / a / name, 1);
    fs::create_hard_link(here.blobs / a / name, here.blobs / b / name);
  }
  const auto one = blocks_of(here.blobs / a / "0");
  const auto all = (shared_files_max + further) * one;
  here.meter->look_at(a);
  here.until({{"p", all}});
  here.meter->look_at(b);
  const auto held = [&] { return here.meter->by_project().at("p"); };
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (held() == all && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  CHECK(held() >= all + further * one);
  CHECK(held() <= all + 2 * further * one);  // they need not be the same ones
  here.meter->forget(a);
  here.until({{"p", all}});
}

}  // namespace
}  // namespace millrace::actors
