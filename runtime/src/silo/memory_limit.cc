// SPDX-License-Identifier: MIT
#include "millrace/runtime/memory_limit.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string>

namespace millrace::runtime {

namespace fs = std::filesystem;

namespace {

// The number that a file begins with; nothing when it has none, as "max".
std::optional<std::uint64_t> number_in(const fs::path& file) {
  std::ifstream in{file};
  std::string word;
  std::uint64_t number = 0;
  if (!(in >> word) ||
      std::from_chars(word.data(), word.data() + word.size(), number).ec != std::errc{}) {
    return std::nullopt;
  }
  return number;
}

// The smallest limit from the cgroup at `path` up to its hierarchy's root: each binds those below.
// What of the path is not there is the host's: a container sees its own part of the tree only.
std::uint64_t least_on_path(const fs::path& mounted, const fs::path& path, const char* file) {
  auto least = UINT64_MAX;
  auto at = mounted;
  const auto look = [&] { least = std::min(least, number_in(at / file).value_or(UINT64_MAX)); };
  look();
  for (const auto& each : path.relative_path()) {
    at /= each;
    look();
  }
  return least;
}

bool has_word(std::string_view list, std::string_view word) {
  std::istringstream words{std::string{list}};
  for (std::string each; std::getline(words, each, ',');) {
    if (each == word) {
      return true;
    }
  }
  return false;
}

std::uint64_t cgroup_limit(const fs::path& root) {
  auto least = UINT64_MAX;
  std::ifstream groups{root / "proc/self/cgroup"};
  for (std::string line; std::getline(groups, line);) {  // ID:CONTROLLERS:PATH
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
      continue;
    }
    const auto controllers = std::string_view{line}.substr(first + 1, second - first - 1);
    const fs::path path = line.substr(second + 1);
    const auto tree = root / "sys/fs/cgroup";
    if (controllers.empty()) {
      least = std::min(least, least_on_path(tree, path, "memory.max"));
    } else if (has_word(controllers, "memory")) {
      least = std::min(least, least_on_path(tree / "memory", path, "memory.limit_in_bytes"));
    }
  }
  return least;
}

std::uint64_t machine_memory(const fs::path& root) {
  std::ifstream info{root / "proc/meminfo"};
  for (std::string line; std::getline(info, line);) {
    std::istringstream words{line};
    std::string name;
    std::uint64_t kib = 0;
    if (words >> name >> kib && name == "MemTotal:") {
      return kib << 10U;
    }
  }
  return UINT64_MAX;
}

}  // namespace

std::optional<std::size_t> memory_limit(const fs::path& root) {
  // Without a limit version 1 tells one above any machine's memory.
  const auto least = std::min(machine_memory(root), cgroup_limit(root));
  return least == UINT64_MAX ? std::nullopt : std::optional{static_cast<std::size_t>(least)};
}

}  // namespace millrace::runtime
