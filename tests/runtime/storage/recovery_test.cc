// SPDX-License-Identifier: MIT
// What a data directory holds after the process that wrote it has ended, one way or another.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>

#include "endless_writers.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/silo.h"
#include "storage/files.h"
#include "storage/storage_lost.h"
#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;

std::unique_ptr<storage> must_open(const storage_options& options) {
  auto opened = open_storage(options);
  REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
  return std::move(*opened);
}

error must_fail(const storage_options& options) {
  auto opened = open_storage(options);
  REQUIRE_FALSE(opened);
  return opened.error();
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Runs `body` in a child process that ends by `_exit`; returns its pid. The body must not use
// doctest.
pid_t in_child(const std::function<void()>& body) {
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // also when a case fails before it has killed the child
    body();
    ::_exit(0);
  }
  return pid;
}

int status_of(pid_t pid) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return status;
}

// Flips one bit in the middle of every occurrence of `needle` in a file.
int corrupt(const std::string& path, std::string_view needle) {
  std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
  std::string bytes{std::istreambuf_iterator<char>{file}, {}};
  int count = 0;
  for (auto at = bytes.find(needle); at != std::string::npos; at = bytes.find(needle, at + 1)) {
    const auto middle = at + needle.size() / 2;
    file.seekp(static_cast<std::streamoff>(middle));
    file.put(static_cast<char>(bytes[middle] ^ 1));
    ++count;
  }
  return count;
}

TEST_CASE("a directory that was closed opens with the same rows and identity") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  std::string identity;
  {
    auto store = must_open(options);
    identity = store->allocation_id();
    for (int index = 0; index < 300; ++index) {
      REQUIRE(
          commit_now(*store, 1, put_row("k" + std::to_string(index % 30), std::to_string(index))));
    }
    REQUIRE(commit_now(*store, 1, erase_row("k7")));
  }
  options.partition_count = 99;  // only used for a new directory
  for (int round = 0; round < 3; ++round) {
    auto store = must_open(options);
    CHECK(store->allocation_id() == identity);
    CHECK(store->partition_count() == 16);
    const auto rows = read_now(*store, 1, "k");
    REQUIRE(rows);
    CHECK(rows->size() == 29);
    CHECK(rows_text(read_now(*store, 1, "k29")) == "k29=299");
    REQUIRE(commit_now(*store, 2, put_row("round", std::to_string(round))));
    CHECK(rows_text(read_now(*store, 2, "round")) == "round=" + std::to_string(round));
  }
}

TEST_CASE("two new directories have different identities") {
  const scratch_directory one;
  const scratch_directory other;
  CHECK(must_open(small_options(one.data()))->allocation_id() !=
        must_open(small_options(other.data()))->allocation_id());
}

TEST_CASE("a directory in use is refused with the pid of its user, and free once that has died") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  std::array<int, 2> ready{};
  REQUIRE(::pipe(ready.data()) == 0);
  const auto child = in_child([&] {
    auto store = open_storage(options);
    (void)!::write(ready[1], store ? "y" : "n", 1);
    ::pause();
  });
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  REQUIRE(answer == 'y');
  const auto failure = must_fail(options);
  CHECK(failure.code() == errc::conflict);
  CHECK(contains(failure.text(), "process " + std::to_string(child)));
  CHECK(contains(failure.text(), options.directory));
  ::kill(child, SIGKILL);
  status_of(child);
  must_open(options);
  ::close(ready[0]);
  ::close(ready[1]);
}

// Goal: kill -9 and an immediate restart work, although the lock outlives its owner for a moment in
// processes that were forked from it and have not yet closed what they inherited.
// Method: such a process, which holds on for a tenth of a second.
TEST_CASE("a lock that a dead owner's fork still holds is waited for") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  std::array<int, 2> ready{};
  REQUIRE(::pipe(ready.data()) == 0);
  const auto child = in_child([&] {
    auto store = open_storage(options);
    if (::fork() == 0) {
      ::poll(nullptr, 0, 100);
      ::_exit(0);
    }
    (void)!::write(ready[1], store ? "y" : "n", 1);
    ::pause();
  });
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  REQUIRE(answer == 'y');
  ::kill(child, SIGKILL);
  status_of(child);
  must_open(options);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a directory open in this process is refused too") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  const auto store = must_open(options);
  CHECK(must_fail(options).code() == errc::conflict);
}

TEST_CASE("a directory of another format version is refused") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  must_open(options);
  std::ofstream{options.directory + "/FORMAT"} << "millrace-data\nversion 4\n";
  const auto failure = must_fail(options);
  CHECK(failure.code() == errc::failed_precondition);
  CHECK(contains(failure.text(), "version is 4"));
  CHECK(contains(failure.text(), options.directory));
}

TEST_CASE("what is not a data directory is refused and left alone") {
  const scratch_directory scratch;
  std::ofstream{scratch.root() + "/file"} << "text";
  CHECK(must_fail(small_options(scratch.root() + "/file")).code() == errc::failed_precondition);
  CHECK(must_fail(small_options(scratch.root() + "/file/below")).code() ==
        errc::failed_precondition);
  CHECK(must_fail(small_options(scratch.root())).code() == errc::failed_precondition);
  CHECK(must_fail(small_options("")).code() == errc::invalid_argument);
  CHECK(must_fail(small_options(scratch.root() + "/absent/below")).code() == errc::storage_failed);
  std::ifstream file{scratch.root() + "/file"};
  CHECK(std::string{std::istreambuf_iterator<char>{file}, {}} == "text");
}

TEST_CASE("a FORMAT that is not ours is refused") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  must_open(options);
  for (const auto* text : {"", "something else\n", "millrace-data\nversion x\n",
                           "millrace-data\nversion 1\npartition_count 0\n",
                           "millrace-data\nversion 1\npartition_count 9\nallocation_id short\n"}) {
    std::ofstream{options.directory + "/FORMAT"} << text;
    CHECK(must_fail(options).code() == errc::failed_precondition);
  }
  std::filesystem::remove(options.directory + "/FORMAT");
  CHECK(must_fail(options).code() == errc::failed_precondition);
}

// Method: a pipe that nobody writes to, and a link to a file outside.
TEST_CASE("what is no file in a data directory is refused at once, by name, and left alone") {
  for (const auto* name :
       {"LOCK", "FORMAT", "CLUSTER", "checkpoint/data.mdb", "journal/data.mdb"}) {
    for (const auto is_link : {false, true}) {
      CAPTURE(name);
      CAPTURE(is_link);
      const scratch_directory scratch;
      const auto options = small_options(scratch.data());
      must_open(options);
      const auto outside = scratch.root() + "/outside";
      std::ofstream{outside} << "text";
      const auto path = options.directory + "/" + name;
      std::filesystem::remove(path);
      if (is_link) {
        std::filesystem::create_symlink(outside, path);
      } else {
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
      }
      const auto failure = must_fail(options);
      CHECK(failure.code() == errc::failed_precondition);
      CHECK(
          contains(failure.text(), path + (is_link ? " is a symbolic link, not a file; move it away"
                                                   : " is not a file; move it away")));
      std::ifstream file{outside};
      CHECK(std::string{std::istreambuf_iterator<char>{file}, {}} == "text");
    }
  }
}

// As a CLUSTER that is written by way of a name beside it.
TEST_CASE("a file is written into no pipe and through no link") {
  const scratch_directory scratch;
  const auto path = scratch.root() + "/file";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK(write_file(path, "text").error().code() == errc::failed_precondition);
  std::filesystem::remove(path);
  std::filesystem::create_symlink(scratch.root() + "/outside", path);
  CHECK(write_file(path, "text").error().code() == errc::failed_precondition);
  CHECK_FALSE(std::filesystem::exists(scratch.root() + "/outside"));
}

TEST_CASE("making a directory that was cut short starts over") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  must_open(options);
  std::filesystem::rename(options.directory + "/FORMAT", options.directory + "/FORMAT.tmp");
  must_open(options);
}

// The needle is long enough to be nowhere else, and lies within one page.
const std::string needle = "a needle that is to be found in the file of an environment";

TEST_CASE("a value that changed on the disk is an error and never data") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  {
    auto store = must_open(options);
    REQUIRE(commit_now(*store, 1, put_row("bad", needle)));
    REQUIRE(commit_now(*store, 1, put_row("good", "value")));
    // Once a later checkpoint is through, the needle is in one.
    commit_until(*store, [&] { return store->stats().checkpoint_transactions >= 3; });
    // And gone from the journal, which would hide the damage by replaying it.
  }
  REQUIRE(corrupt(options.directory + "/checkpoint/data.mdb", needle) > 0);
  auto store = must_open(options);
  const auto rows = read_now(*store, 1, "bad");
  REQUIRE_FALSE(rows);
  CHECK(rows.error().code() == errc::storage_failed);
  CHECK(contains(rows.error().text(), "checksum"));
  CHECK(scan_text(*store, 1, "").starts_with("storage_failed"));
  CHECK(rows_text(read_now(*store, 1, "good")) == "good=value");

  std::vector<std::string> warned;
  silo_options told;
  told.warn = [&warned](std::string_view line) { warned.emplace_back(line); };
  const silo here{std::move(store), told};
  REQUIRE(warned.size() == 1);
  CHECK(warned[0].starts_with("rows do not match their checksums, "));
  CHECK(contains(warned[0], "millrace restore"));
  CHECK(contains(warned[0], " damaged=1 "));
  CHECK(warned[0].ends_with(" partition=1"));
}

TEST_CASE("a damaged row keeps nobody from one whose key it only begins with") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  {
    auto store = must_open(options);
    REQUIRE(commit_now(*store, 1, put_row("b/10", needle)));
    REQUIRE(commit_now(*store, 1, put_row("b/2", "value")));
    commit_until(*store, [&] { return store->stats().checkpoint_transactions >= 3; });
  }
  REQUIRE(corrupt(options.directory + "/checkpoint/data.mdb", needle) > 0);
  auto store = must_open(options);
  const auto read = [&](row_range range) {
    return rows_text(read_now(*store, 1, std::vector{std::move(range)}));
  };
  CHECK(read(row_range::one("b/1")).empty());
  CHECK(read(row_range::one("b/10")).starts_with("storage_failed"));
  REQUIRE(commit_now(*store, 1, put_row("b/1", "one")));
  CHECK(read(row_range::one("b/1")) == "b/1=one");
  row_range heads;
  heads.prefix = "b/";
  heads.value_bytes_max = 3;
  CHECK(read(heads) == "b/1=one b/10= b/2=val");
}

// Goal: whoever asks for heads does not hold others up for as long as whole values take.
TEST_CASE("of values that are wanted cut no more are looked at than make a mebibyte") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  {
    auto store = must_open(options);
    for (const auto* key : {"a", "b", "c", "d", "e", "f"}) {
      REQUIRE(commit_now(*store, 1, put_row(key, std::string(400'000, 'v'))));
    }
    commit_until(*store, [&] { return store->stats().checkpoint_transactions >= 8; });
  }
  auto store = must_open(options);
  row_range heads;
  heads.until = "g";
  heads.value_bytes_max = 1;
  const auto read = [&] { return rows_text(read_now(*store, 1, std::vector{heads})); };
  CHECK(read() == "a=v b=v c=v d= e= f=");
  heads.from = "d";
  CHECK(read() == "d=v e=v f=v");
  heads.value_bytes_max = SIZE_MAX;
  CHECK(read_now(*store, 1, std::vector{heads})->at(2).value.size() == 400'000);
}

TEST_CASE("a journal entry that changed on the disk keeps the directory from opening") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 3'600'000;
  {
    auto store = must_open(options);
    REQUIRE(commit_now(*store, 1, put_row("k", needle)));
  }
  REQUIRE(corrupt(options.directory + "/journal/data.mdb", needle) > 0);
  const auto failure = must_fail(options);
  CHECK(failure.code() == errc::storage_failed);
  CHECK(contains(failure.text(), "digest"));
  CHECK(contains(failure.text(), options.directory));
}

TEST_CASE(
    "a journal or checkpoint that was wiped or rolled back keeps the directory from opening") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  const auto journal = options.directory + "/journal";
  const auto checkpoint = options.directory + "/checkpoint";
  const auto saved = scratch.root() + "/saved";
  must_open(options);
  std::filesystem::copy(journal, saved);
  {
    auto store = must_open(options);
    commit_until(*store, [&] { return store->stats().checkpoint_transactions >= 10; });
  }
  std::filesystem::rename(journal, scratch.root() + "/newest");
  CHECK(must_fail(options).code() == errc::storage_failed);  // wiped
  std::filesystem::remove_all(journal);
  std::filesystem::rename(saved, journal);
  CHECK(must_fail(options).code() == errc::storage_failed);  // rolled back
  std::filesystem::remove_all(journal);
  std::filesystem::rename(scratch.root() + "/newest", journal);
  must_open(options);
  std::filesystem::remove_all(checkpoint);
  CHECK(must_fail(options).code() == errc::storage_failed);
}

// Reads acknowledgements until `wanted` have come, then kills and reads the rest; how many came.
std::uint64_t kill_after(pid_t child, int pipe, std::uint64_t wanted,
                         writer_numbers& acknowledged) {
  std::uint64_t count = 0;
  bool killed = false;
  while (const auto some = read_acknowledged(pipe, acknowledged)) {
    count += some;
    if (count >= wanted && !killed) {
      ::kill(child, SIGKILL);
      killed = true;
    }
  }
  const auto status = status_of(child);
  REQUIRE(killed);
  REQUIRE(WIFSIGNALED(status));
  return count;
}

// Goal: no acknowledged commit is lost and none is half there, wherever the process is killed.
// Method: a child writes under load; it is killed after a varying number of acknowledgements, and
// the next child goes on in the same directory. Small bounds put freezes, checkpoints and trims
// into every life. MILLRACE_KILLS sets the number of lives.
TEST_CASE("every acknowledged commit survives kill -9 under load, wholly and in order") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_bytes = 64U << 10U;
  options.checkpoint_interval_ms = 5;
  options.commit_bytes_max = 16U << 10U;
  const auto* lives_wanted = std::getenv("MILLRACE_KILLS");
  const int lives = lives_wanted == nullptr ? 60 : std::atoi(lives_wanted);
  writer_numbers acknowledged{};
  rng random{42};
  std::uint64_t total = 0;
  for (int life = 0; life < lives; ++life) {
    CAPTURE(life);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const auto child = in_child([&] { write_for_ever(options, pipe[1], acknowledged); });
    ::close(pipe[1]);
    total += kill_after(child, pipe[0], 1 + random.next() % 3000, acknowledged);
    ::close(pipe[0]);
    check_survivors(*must_open(options), acknowledged);
  }
  MESSAGE(lives << " kills, " << total << " acknowledged commits");
}

}  // namespace
}  // namespace millrace::runtime
