// SPDX-License-Identifier: MIT
// Backups: what is written comes back, as of one moment, and a bad stream makes no directory.
#include "millrace/runtime/backup.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace testing;
namespace fs = std::filesystem;

std::string backup_of(storage& store) {
  std::string stream;
  const auto done = store.backup([&](std::string_view bytes) -> result<void> {
    stream += bytes;
    return {};
  });
  REQUIRE_MESSAGE(done, (done ? "" : done.error().to_string()));
  return stream;
}

// Gives a few bytes at a time, so that nothing depends on how pieces arrive.
byte_source source_of(std::string_view stream) {
  return [rest = stream](char* to, std::size_t size) mutable -> result<std::size_t> {
    const auto count = std::min({size, rest.size(), std::size_t{1000}});
    std::copy_n(rest.data(), count, to);
    rest.remove_prefix(count);
    return count;
  };
}

std::unique_ptr<storage> must_open(const storage_options& options) {
  auto opened = open_storage(options);
  REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
  return std::move(*opened);
}

TEST_CASE("a backup holds the checkpoint's rows and those that are newer") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  {
    auto store = must_open(options);
    for (int each = 0; each < 300; ++each) {
      REQUIRE(commit_now(*store, static_cast<unsigned>(each) % 16,
                         put_row("k" + std::to_string(each), std::to_string(each))));
    }
    REQUIRE(commit_now(*store, 1, put_row("large", std::string(3'000'000, 'l'))));
    commit_until(*store, [&] { return store->stats().checkpoint_lag_batches == 0; });
  }
  options.checkpoint_interval_ms = 3'600'000;
  auto store = must_open(options);
  REQUIRE(commit_now(*store, 1, put_row("k1", "newer")));
  REQUIRE(commit_now(*store, 2, erase_row("k2")));
  REQUIRE(commit_now(*store, 3, put_row("k9", "only in the journal")));
  const auto stream = backup_of(*store);
  const auto copy = scratch.root() + "/copy";
  const auto restored = restore_storage(copy, source_of(stream));
  REQUIRE_MESSAGE(restored, (restored ? "" : restored.error().to_string()));
  CHECK(restored->partition_count == 16);
  CHECK_FALSE(fs::exists(copy + ".restoring"));

  auto again_options = small_options(copy);
  {
    auto again = must_open(again_options);
    CHECK(again->allocation_id() != store->allocation_id());
    std::uint64_t rows = 0;
    for (unsigned partition = 0; partition < 16; ++partition) {
      CHECK(rows_text(read_now(*again, partition, "")) ==
            rows_text(read_now(*store, partition, "")));
      rows += read_now(*again, partition, "")->size();
    }
    CHECK(restored->rows == rows);
    REQUIRE(commit_now(*again, 5, put_row("life", "goes on")));
  }
  const auto checked = check_storage(copy);
  REQUIRE(checked);
  CHECK(checked->faults.empty());
  CHECK(checked->rows == restored->rows);
  CHECK(checked->journal_entries == 1);
}

// Goal: a backup is a moment of the whole silo, not of each partition. Method: one thread counts in
// partition 1 and then in partition 14, one at a time; a backup may see the first alone, or both.
TEST_CASE("a backup taken under load is of one moment") {
  const scratch_directory scratch;
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  auto store = must_open(options);
  std::atomic<bool> enough{false};
  std::thread counter{[&] {
    for (int number = 1; !enough; ++number) {
      static_cast<void>(commit_now(*store, 1, put_row("n", std::to_string(number))));
      static_cast<void>(commit_now(*store, 14, put_row("n", std::to_string(number))));
    }
  }};
  for (int round = 0; round < 20; ++round) {
    // What is acknowledged before the backup begins is in it.
    const auto before = read_now(*store, 14, "n");
    const auto copy = scratch.root() + "/copy" + std::to_string(round);
    REQUIRE(restore_storage(copy, source_of(backup_of(*store))));
    auto again = must_open(small_options(copy));
    const auto number_in = [&](unsigned partition) {
      const auto rows = read_now(*again, partition, "n");
      return rows->empty() ? 0 : std::stoi(rows->front().value);
    };
    const auto first = number_in(1);
    const auto second = number_in(14);
    CHECK((first == second || first == second + 1));
    CHECK((before->empty() || second >= std::stoi(before->front().value)));
  }
  enough = true;
  counter.join();
}

TEST_CASE("a backup that is cut short or altered makes no directory") {
  const scratch_directory scratch;
  std::string stream;
  {
    auto store = must_open(small_options(scratch.data()));
    for (unsigned each = 0; each < 16; ++each) {
      REQUIRE(commit_now(*store, each, put_row("key", std::string(500, 'v'))));
    }
    stream = backup_of(*store);
  }
  const auto copy = scratch.root() + "/copy";
  for (std::size_t size = 0; size < stream.size(); size += 97) {
    const auto refused = restore_storage(copy, source_of(std::string_view{stream}.substr(0, size)));
    REQUIRE_FALSE(refused);
    CHECK_FALSE(fs::exists(copy));
    CHECK_FALSE(fs::exists(copy + ".restoring"));
  }
  for (std::size_t at = 0; at < stream.size(); at += 101) {
    auto altered = stream;
    altered[at] = static_cast<char>(altered[at] ^ 4);
    const auto refused = restore_storage(copy, source_of(altered));
    REQUIRE_FALSE(refused);
    CHECK_FALSE(fs::exists(copy));
  }
  const auto nonsense = restore_storage(copy, source_of("kind: pipeline\n"));
  REQUIRE_FALSE(nonsense);
  CHECK(nonsense.error().code() == errc::invalid_argument);
  const auto taken = restore_storage(scratch.data(), source_of(stream));
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code() == errc::conflict);
  CHECK(restore_storage(copy, source_of(stream)));
}

TEST_CASE("a check names everything that is wrong and changes nothing") {
  const scratch_directory scratch;
  const auto none = check_storage(scratch.data());
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == errc::not_found);
  auto options = small_options(scratch.data());
  options.checkpoint_interval_ms = 1;
  {
    auto store = must_open(options);
    REQUIRE(commit_now(*store, 7, put_row("key", std::string(100, 'v'))));
    commit_until(*store, [&] { return store->stats().checkpoint_rows >= 2; });
    CHECK(check_storage(scratch.data()).error().code() == errc::conflict);
  }
  const auto sound = check_storage(scratch.data());
  REQUIRE(sound);
  CHECK(sound->faults.empty());
  CHECK(sound->partition_count == 16);
  CHECK(sound->rows == 2);

  const auto file = scratch.data() + "/checkpoint/data.mdb";
  std::string bytes;
  {
    std::ifstream in{file, std::ios::binary};
    bytes.assign(std::istreambuf_iterator<char>{in}, {});
  }
  for (auto at = bytes.find("vvvv"); at != std::string::npos; at = bytes.find("vvvv", at + 100)) {
    bytes[at] = 'w';
  }
  std::ofstream{file, std::ios::binary} << bytes;
  const auto damaged = check_storage(scratch.data());
  REQUIRE(damaged);
  CHECK(damaged->damaged_rows == 1);
  REQUIRE(damaged->faults.size() == 1);
  CHECK(damaged->faults[0].find("1 rows of partition 7 do not match") != std::string::npos);

  fs::resize_file(file, 3 * 4096);
  fs::remove(scratch.data() + "/journal/data.mdb");
  const auto worse = check_storage(scratch.data());
  REQUIRE(worse);
  CHECK(worse->faults.size() == 2);
}

}  // namespace
}  // namespace millrace::runtime
