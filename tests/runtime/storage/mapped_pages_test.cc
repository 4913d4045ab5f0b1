// SPDX-License-Identifier: MIT
// What a growing file takes of the process's memory.
#include <fstream>
#include <sstream>

#include "folders.h"
#include "storage/checkpoint.h"
#include "storage/lmdb_env.h"

namespace millrace::runtime {
namespace {

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
  testing::temporary_folder data;
  auto opened = open_lmdb_checkpoint({.directory = data.path, .map_bytes = std::size_t{1} << 30U});
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
      left = std::min(left, resident_of((data.path / "data.mdb").string()));
    }
  }
  CHECK((*opened)->bytes_used_at_most() > 150'000'000);
  CHECK(left < 10'000'000);
}

}  // namespace
}  // namespace millrace::runtime
