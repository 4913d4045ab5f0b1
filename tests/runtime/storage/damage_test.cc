// SPDX-License-Identifier: MIT
// Damaged data directories: whatever happens to a file, storage says so or answers what was
// written.
//
// Goal: never an end without a line, never a wrong value, never a row that is missing in silence.
// Method: copies of one directory (large values, free pages, a journal ahead of its checkpoint, all
// that a life brings) are damaged in seeded ways; a process of its own opens each, reads every
// partition and writes on. Its answers are compared with what the directory held.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <map>
#include <random>

#include "storage/lmdb_env.h"
#include "storage/storage_lost.h"
#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;
namespace fs = std::filesystem;

constexpr unsigned partitions = 16;
constexpr std::size_t page_bytes = 4096;
constexpr int refused_status = 1;
constexpr int wrong_status = 3;

using model = std::map<unsigned, std::map<std::string, std::string>>;

std::string value_of(std::mt19937& random) {
  const auto size = random() % 40 == 0 ? 5'000 + random() % 9'000 : 8 + random() % 300;
  std::string value(size, '\0');
  for (auto& each : value) {
    each = static_cast<char>(random());
  }
  return value;
}

void change(storage& store, model& rows, std::mt19937& random, int rounds) {
  tally answers;
  for (int round = 0; round < rounds; ++round) {
    row_ops ops;
    const auto partition = static_cast<unsigned>(random() % partitions);
    for (int each = 0; each < 3; ++each) {
      const auto key = "key-" + std::to_string(random() % 200);
      if (random() % 4 == 0) {
        ops.erase(key);
        rows[partition].erase(key);
      } else {
        rows[partition][key] = value_of(random);
        ops.put(key, rows[partition][key]);
      }
    }
    commit_async(store, partition, std::move(ops), answers.expect());
  }
  answers.wait();
  REQUIRE(answers.failed() == 0);
}

// A directory with a past: `older` is a copy from the middle of it.
model make_directory_with_past(const std::string& path, const std::string& older) {
  auto options = small_options(path);
  options.checkpoint_interval_ms = 1;
  std::mt19937 random{7};
  model rows;
  for (int life = 0; life < 5; ++life) {
    {
      auto store = open_storage(options);
      REQUIRE(store);
      for (int batch = 0; batch < 4; ++batch) {
        change(**store, rows, random, 60);
        commit_until(**store, [&] { return (*store)->stats().checkpoint_lag_batches < 40; });
      }
    }
    if (life == 2) {
      fs::copy(path, older, fs::copy_options::recursive);
    }
  }
  options.checkpoint_interval_ms = 3'600'000;
  auto store = open_storage(options);
  REQUIRE(store);
  change(**store, rows, random, 300);
  rows[0].erase("~pacer");
  return rows;
}

void write_at(const std::string& file, std::uint64_t at, std::string_view bytes) {
  const int opened = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(opened >= 0);
  REQUIRE(::pwrite(opened, bytes.data(), bytes.size(), static_cast<off_t>(at)) ==
          static_cast<ssize_t>(bytes.size()));
  ::close(opened);
}

std::string read_at(const std::string& file, std::uint64_t at, std::size_t size) {
  std::string bytes(size, '\0');
  std::ifstream in{file, std::ios::binary};
  in.seekg(static_cast<std::streamoff>(at));
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  return bytes;
}

void flip_bits(const std::string& file, std::mt19937& random, unsigned count) {
  const auto size = fs::file_size(file);
  for (unsigned each = 0; each < count; ++each) {
    const auto at = random() % size;
    auto byte = read_at(file, at, 1);
    byte[0] = static_cast<char>(byte[0] ^ (1 << random() % 8));
    write_at(file, at, byte);
  }
}

// Flips bits of page headers, offsets and list nodes rather than of values.
void flip_heads(const std::string& file, std::mt19937& random, unsigned count) {
  const auto pages = fs::file_size(file) / page_bytes;
  for (unsigned each = 0; each < count; ++each) {
    const auto at = random() % pages * page_bytes + random() % 160;
    auto byte = read_at(file, at, 1);
    byte[0] = static_cast<char>(byte[0] ^ (1 << random() % 8));
    write_at(file, at, byte);
  }
}

// What is done to a copy of the directory; returns its name.
std::string damage(const std::string& copy, const std::string& older, std::mt19937& random) {
  const std::string part = random() % 3 == 0 ? "/journal/data.mdb" : "/checkpoint/data.mdb";
  const auto file = copy + part;
  const auto size = fs::file_size(file);
  const auto pages = size / page_bytes;
  switch (random() % 9) {
    case 0:
      flip_bits(file, random, 1);
      return "one bit of" + part;
    case 1:
      flip_bits(file, random, 60 + static_cast<unsigned>(random() % 140));
      return "many bits of" + part;
    case 2:
      flip_heads(file, random, 1 + static_cast<unsigned>(random() % 4));
      return "page heads of" + part;
    case 3: {
      const auto count = 1 + random() % 4;
      for (auto left = count; left > 0; --left) {
        write_at(file, random() % pages * page_bytes, std::string(page_bytes, '\0'));
      }
      return "zeroed pages of" + part;
    }
    case 4:
      fs::resize_file(file, random() % size);
      return "cut short" + part;
    case 5: {
      const auto from = random() % pages;
      write_at(file, random() % pages * page_bytes, read_at(file, from * page_bytes, page_bytes));
      return "a page over another one of" + part;
    }
    case 6:
      fs::copy_file(older + part, file, fs::copy_options::overwrite_existing);
      return "the older file of" + part;
    case 7: {
      const auto page = random() % std::min(pages, fs::file_size(older + part) / page_bytes);
      write_at(file, page * page_bytes, read_at(older + part, page * page_bytes, page_bytes));
      return "an older page of" + part;
    }
    default:
      fs::remove(file);
      return "removed" + part;
  }
}

// In a process of its own: every answer is right or an error, then life goes on.
[[noreturn]] void use(const std::string& path, const model& rows, std::uint32_t seed) {
  watch_storage_signals();
  auto options = small_options(path);
  options.checkpoint_interval_ms = 1;
  auto store = open_storage(options);
  if (!store) {
    std::fprintf(stderr, "%s\n", store.error().to_string().c_str());
    ::_exit(refused_status);
  }
  std::mt19937 random{seed};
  std::array<unsigned, partitions> order{};
  for (unsigned index = 0; index < partitions; ++index) {
    order[index] = index;
  }
  std::shuffle(order.begin(), order.end(), random);
  int failures = 0;
  for (const auto partition : order) {
    const auto read = read_now(**store, partition, "key-");
    if (!read) {
      std::fprintf(stderr, "%s\n", read.error().to_string().c_str());
      ++failures;
      continue;
    }
    const auto& expected = rows.at(partition);
    bool right = read->size() == expected.size();
    for (auto each = read->begin(); right && each != read->end(); ++each) {
      const auto found = expected.find(each->key);
      right = found != expected.end() && found->second == each->value;
    }
    if (!right) {
      std::fprintf(stderr, "partition %u answers %zu rows where %zu were written\n", partition,
                   read->size(), expected.size());
      ::_exit(wrong_status);
    }
  }
  for (int round = 0; round < 40; ++round) {
    (void)commit_now(**store, order[static_cast<unsigned>(round) % partitions],
                     put_row("after-" + std::to_string(round), std::string(900, 'x')));
  }
  (*store)->stop();
  ::_exit(failures == 0 ? 0 : refused_status);
}

struct ending {
  int status = 0;  // as of waitpid
  std::string said;
};

ending run_child(const std::function<void()>& body) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    for (const int each : {SIGBUS, SIGSEGV, SIGABRT}) {
      (void)std::signal(each, SIG_DFL);  // doctest watches them
    }
    body();
    ::_exit(0);
  }
  ::close(ends[1]);
  ending end;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto count = ::read(ends[0], buffer.data(), buffer.size());
    if (count <= 0) {
      break;
    }
    end.said.append(buffer.data(), static_cast<std::size_t>(count));
  }
  ::close(ends[0]);
  REQUIRE(::waitpid(pid, &end.status, 0) == pid);
  return end;
}

unsigned damaged_copies() {
  const char* wanted = std::getenv("MILLRACE_DAMAGES");
  return wanted == nullptr ? 500 : static_cast<unsigned>(std::strtoul(wanted, nullptr, 10));
}

TEST_CASE("a damaged directory is refused with a line or answers what was written") {
  const scratch_directory scratch;
  const auto older = scratch.root() + "/older";
  const auto rows = make_directory_with_past(scratch.data(), older);
  const auto copy = scratch.root() + "/copy";
  fs::copy(scratch.data(), copy, fs::copy_options::recursive);
  const auto sound = run_child([&] { use(copy, rows, 1); });
  REQUIRE_MESSAGE(sound.status == 0, sound.said);
  std::map<std::string, int> endings;
  for (std::uint32_t seed = 1; seed <= damaged_copies(); ++seed) {
    std::mt19937 random{seed};
    fs::remove_all(copy);
    fs::copy(scratch.data(), copy, fs::copy_options::recursive);
    const auto what = damage(copy, older, random);
    const auto end = run_child([&] { use(copy, rows, seed); });
    const std::string how =
        WIFSIGNALED(end.status) ? "signal" : std::to_string(WEXITSTATUS(end.status));
    ++endings[how];
    CAPTURE(seed);
    CAPTURE(what);
    CAPTURE(how);
    CAPTURE(end.said);
    CHECK(WIFEXITED(end.status));
    CHECK(WEXITSTATUS(end.status) != wrong_status);
    CHECK((end.status == 0 || !end.said.empty()));
    if (end.status != 0) {  // refused, or lost while it was used: which file, and what to do
      CHECK(end.said.find(copy + "/") != std::string::npos);
      CHECK(end.said.find(".mdb") != std::string::npos);
      CHECK(end.said.find("millrace restore") != std::string::npos);
    }
  }
  std::string summary;
  for (const auto& [how, count] : endings) {
    summary += " " + how + ": " + std::to_string(count);
  }
  MESSAGE("exit statuses:" << summary);
}

// Removes the first row of the checkpoint of `path` behind storage's back, as LMDB would.
void lose_a_row(const std::string& path) {
  auto env = lmdb_env::open({path + "/checkpoint", std::size_t{1} << 30U}, 0, 2);
  REQUIRE(env);
  const auto rows = (*env)->open_db("rows", 0);
  REQUIRE(rows);
  auto txn = (*env)->begin_write();
  REQUIRE(txn);
  MDB_cursor* cursor = nullptr;
  REQUIRE(mdb_cursor_open(txn->get(), *rows, &cursor) == MDB_SUCCESS);
  MDB_val key;
  MDB_val data;
  REQUIRE(mdb_cursor_get(cursor, &key, &data, MDB_FIRST) == MDB_SUCCESS);
  REQUIRE(mdb_cursor_del(cursor, 0) == MDB_SUCCESS);
  REQUIRE((*env)->commit(std::move(*txn), 0));
}

// The only way to know is the digest: every page and every row that is left is sound.
TEST_CASE("a row that is gone from a sound file ends the process with a line") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  {
    auto store = open_storage(options);
    REQUIRE(store);
    REQUIRE(commit_now(**store, 0, put_row("a", "1")));
    REQUIRE(commit_now(**store, 0, put_row("b", "2")));
    commit_until(**store, [&] { return (*store)->stats().checkpoint_rows >= 3; });
  }
  lose_a_row(scratch.data());
  const auto end = run_child([&] {
    auto store = open_storage(options);
    const auto rows = read_now(**store, 0, "");
    std::fprintf(stderr, "answered %s\n", rows_text(rows).c_str());
  });
  REQUIRE(WIFEXITED(end.status));
  CHECK(WEXITSTATUS(end.status) == storage_lost_status);
  CHECK(end.said.find("/checkpoint/data.mdb is damaged: partition 0 has ") != std::string::npos);
  CHECK(end.said.find("millrace restore") != std::string::npos);
}

TEST_CASE("a page that the disk does not give any more ends the process with a line") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  const auto end = run_child([&] {
    watch_storage_signals();
    auto store = open_storage(options);
    for (int each = 0; each < 200; ++each) {
      (void)commit_now(**store, 1, put_row(std::to_string(each), std::string(200, 'v')));
    }
    commit_until(**store, [&] { return (*store)->stats().checkpoint_rows >= 200; });
    while ((*store)->stats().overlay_bytes > 0) {
      std::this_thread::yield();  // what is still being written would make the file longer again
    }
    fs::resize_file(scratch.data() + "/checkpoint/data.mdb", 2 * page_bytes);
    (void)read_now(**store, 1, "");
    std::fprintf(stderr, "went on\n");
  });
  REQUIRE(WIFEXITED(end.status));
  CHECK(WEXITSTATUS(end.status) == storage_lost_status);
  CHECK(end.said.find(scratch.data() + "/checkpoint/data.mdb: a page is damaged") !=
        std::string::npos);
  CHECK(end.said.find("SIGBUS") != std::string::npos);
}

TEST_CASE("a signal that is none of storage's ends the process as before") {
  const auto end = run_child([] {
    watch_storage_signals();
    ::raise(SIGSEGV);
  });
  CHECK((WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGSEGV));
  const auto aborted = run_child([] {
    watch_storage_signals();
    std::abort();
  });
  CHECK((WIFSIGNALED(aborted.status) && WTERMSIG(aborted.status) == SIGABRT));
}

// `format_1` was written by the build before row digests came.
TEST_CASE("a directory of format 1 opens, and is one of format 3 from then on") {
  const scratch_directory scratch;
  fs::copy(std::string{MILLRACE_SOURCE_DIRECTORY} + "/tests/runtime/storage/format_1",
           scratch.data(), fs::copy_options::recursive);
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  const auto check_rows = [](storage& store) {
    CHECK(store.partition_count() == 4);
    CHECK(rows_text(read_now(store, 2, "row-2")) ==
          "row-2=newer than the checkpoint row-22=value 22 row-26=value 26");
    CHECK(rows_text(read_now(store, 3, "row-3")) ==
          "row-31=value 31 row-35=value 35 row-39=value 39");
    CHECK(rows_text(read_now(store, 1, "large")) == "large=" + std::string(5000, 'l'));
  };
  {
    auto store = open_storage(options);
    REQUIRE_MESSAGE(store, (store ? "" : store.error().to_string()));
    CHECK((*store)->allocation_id() == "55e9f0e36341f243cdee36765f96d3a2");
    check_rows(**store);
    REQUIRE(commit_now(**store, 0, put_row("new", "row")));
  }
  CHECK(read_at(scratch.data() + "/FORMAT", 0, 23) == "millrace-data\nversion 3");
  {
    auto store = open_storage(options);
    REQUIRE(store);
    check_rows(**store);
    CHECK(rows_text(read_now(**store, 0, "new")) == "new=row");
  }
  lose_a_row(scratch.data());
  const auto end = run_child([&] {
    auto store = open_storage(options);
    (void)read_now(**store, 0, "");
  });
  CHECK((WIFEXITED(end.status) && WEXITSTATUS(end.status) == storage_lost_status));
}

// `format_2` was written by the build before partitions had copies, and killed: three of its rows
// are in the journal only.
TEST_CASE("a directory of format 2 opens, and is one of format 3 from then on") {
  const scratch_directory scratch;
  fs::copy(std::string{MILLRACE_SOURCE_DIRECTORY} + "/tests/runtime/storage/format_2",
           scratch.data(), fs::copy_options::recursive);
  const auto options = small_options(scratch.data());
  for (int round = 0; round < 2; ++round) {
    auto store = open_storage(options);
    REQUIRE_MESSAGE(store, (store ? "" : store.error().to_string()));
    CHECK((*store)->allocation_id() == "91a60abf894b7c4c7e28edf1b46e3cbc");
    CHECK(rows_text(read_now(**store, 2, "row-2")) ==
          "row-2=newer than the checkpoint row-22=value 22 row-26=value 26 row-2b=newest");
    CHECK(rows_text(read_now(**store, 3, "row-3")) ==
          "row-3=value 3 row-31=value 31 row-35=value 35 row-39=value 39 row-3x=also newer");
    CHECK(rows_text(read_now(**store, 1, "large")) == "large=" + std::string(5000, 'l'));
    CHECK(read_at(scratch.data() + "/FORMAT", 0, 23) == "millrace-data\nversion 3");
    REQUIRE(commit_now(**store, 0, put_row("new", "row")));
  }
}

TEST_CASE("a directory of format 2 with a journal of another one is refused, not converted") {
  const scratch_directory scratch;
  fs::copy(std::string{MILLRACE_SOURCE_DIRECTORY} + "/tests/runtime/storage/format_2",
           scratch.data(), fs::copy_options::recursive);
  const scratch_directory other;
  REQUIRE(open_storage(small_options(other.data())));
  fs::copy(other.data() + "/journal", scratch.data() + "/journal",
           fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  const auto refused = open_storage(small_options(scratch.data()));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::storage_failed);
  CHECK(refused.error().text().find("do not belong together") != std::string::npos);
  CHECK(read_at(scratch.data() + "/FORMAT", 0, 23) == "millrace-data\nversion 2");
}

TEST_CASE("a damaged directory of format 1 is refused, not converted") {
  const scratch_directory scratch;
  fs::copy(std::string{MILLRACE_SOURCE_DIRECTORY} + "/tests/runtime/storage/format_1",
           scratch.data(), fs::copy_options::recursive);
  const auto file = scratch.data() + "/checkpoint/data.mdb";
  fs::resize_file(file, fs::file_size(file) / 2);
  const auto refused = open_storage(small_options(scratch.data()));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::storage_failed);
  CHECK(refused.error().text().find(file + " is damaged") != std::string::npos);
  CHECK(read_at(scratch.data() + "/FORMAT", 0, 23) == "millrace-data\nversion 1");
}

}  // namespace
}  // namespace millrace::runtime
