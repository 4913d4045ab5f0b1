// SPDX-License-Identifier: MIT
// What a growing file takes of the process's memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "storage/checkpoint.h"
#include "storage/lmdb_env.h"
#include "storage_fixture.h"

namespace millrace::runtime {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// Of the file that ends so, in this process, in bytes.
std::size_t resident_of(const std::string& path) {
  std::ifstream maps{"/proc/self/smaps"};
  std::size_t bytes = 0;
  auto within = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) {  // the first line of a mapping
      within = line.ends_with(path);
    }
    std::istringstream words{line};
    std::string name;
    std::size_t kib = 0;
    if (within && words >> name >> kib && name == "Rss:") {
      bytes += kib << 10U;
    }
  }
  return bytes;
}

// Goal: the memory of a process does not grow with its files.
// Method: 160 MB in random order, so that every commit looks at pages all over the tree. The system
// maps fifteen neighbours with each, so between two times of letting go nearly all of the file may
// be mapped; look at what is left after each, which would be all of it without.
TEST_CASE("a checkpoint that grows does not stay mapped") {
  const scratch_directory data;
  auto opened =
      open_lmdb_checkpoint({.directory = data.data(), .map_bytes = std::size_t{1} << 30U});
  REQUIRE(opened);
  const std::string value(1'500, 'x');
  std::uint64_t number = 0;
  std::size_t left = SIZE_MAX;  // the least of the last rounds
  for (int round = 0; round < 100; ++round) {
    std::vector<std::string> keys;
    for (int at = 0; at < 1'000; ++at) {
      keys.push_back(std::to_string(++number * 0x9e3779b97f4a7c15U));
    }
    std::sort(keys.begin(), keys.end());
    std::vector<checkpoint_change> changes;
    for (const auto& key : keys) {
      changes.push_back({partition_id{0}, key, value});
    }
    REQUIRE((*opened)->write(changes, nullptr));
    if (round >= 90) {
      left = std::min(left, resident_of(data.data() + "/data.mdb"));
    }
  }
  CHECK((*opened)->bytes_used_at_most() > 150'000'000);
  CHECK(left < 10'000'000);
  (*opened)->rest();
  CHECK(resident_of(data.data() + "/data.mdb") < 1'000'000);
}

// Goal: files at rest are nobody's memory, whether they were written or read last.
// Method: 12 MB in each of the two files, less than makes a writer let go by itself; what is mapped
// is looked at until little is, or so long that it never will.
TEST_CASE("a data directory at rest does not stay mapped") {
  const scratch_directory scratch;
  const auto options = small_options(scratch.data());
  auto opened = open_storage(options);
  REQUIRE(opened);
  const auto comes_to_rest = [&] {
    const auto mapped = [&] {
      return resident_of("journal/data.mdb") + resident_of("checkpoint/data.mdb");
    };
    const auto begun = std::chrono::steady_clock::now();
    while (mapped() > 1'000'000 && std::chrono::steady_clock::now() - begun < 60s) {
      std::this_thread::sleep_for(10ms);
    }
    return mapped() < 1'000'000;
  };
  const std::string value(12'000, 'x');
  for (int at = 0; at < 1'000; ++at) {
    REQUIRE(commit_now(**opened, 1, put_row(std::to_string(at), value)));
  }
  CHECK(comes_to_rest());
  auto was_mapped = false;  // not while the overlay still answers, nor when it is looked at late
  const auto begun = std::chrono::steady_clock::now();
  while (!was_mapped && std::chrono::steady_clock::now() - begun < 60s) {
    REQUIRE(read_now(**opened, 1, ""));
    was_mapped = resident_of("checkpoint/data.mdb") > 1'000'000;
  }
  CHECK(was_mapped);
  CHECK(comes_to_rest());
}

}  // namespace
}  // namespace millrace::runtime
