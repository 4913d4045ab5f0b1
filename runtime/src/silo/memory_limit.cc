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
template <class Read>
std::uint64_t least_on_path(const fs::path& mounted, const fs::path& path, const Read& read) {
  auto least = UINT64_MAX;
  auto at = mounted;
  const auto look = [&] { least = std::min(least, read(at).value_or(UINT64_MAX)); };
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

// Of `controller`, by what is read of a folder in version 2 and in version 1.
template <class Read2, class Read1>
std::uint64_t cgroup_limit(const fs::path& root, std::string_view controller, const Read2& read_2,
                           const Read1& read_1) {
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
      least = std::min(least, least_on_path(tree, path, read_2));
    } else if (has_word(controllers, controller)) {
      least = std::min(least, least_on_path(tree / controller, path, read_1));
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
  const auto read = [](const char* file) {
    return [file](const fs::path& folder) { return number_in(folder / file); };
  };
  const auto least = std::min(machine_memory(root), cgroup_limit(root, "memory", read("memory.max"),
                                                                 read("memory.limit_in_bytes")));
  return least == UINT64_MAX ? std::nullopt : std::optional{static_cast<std::size_t>(least)};
}

std::optional<std::uint64_t> processor_limit(const fs::path& root) {
  constexpr std::uint64_t one = 1'000;
  const auto part = [](std::optional<std::uint64_t> quota, std::optional<std::uint64_t> period) {
    return quota && period && *period > 0 ? std::optional{*quota * one / *period} : std::nullopt;
  };
  const auto least = cgroup_limit(
      root, "cpu",
      [&](const fs::path& folder) -> std::optional<std::uint64_t> {  // "QUOTA PERIOD", or max
        std::ifstream in{folder / "cpu.max"};
        std::string word;
        std::uint64_t period = 0;
        return in >> word >> period ? part(number_in(folder / "cpu.max"), period) : std::nullopt;
      },
      [&](const fs::path& folder) {  // -1: no bound
        return part(number_in(folder / "cpu.cfs_quota_us"),
                    number_in(folder / "cpu.cfs_period_us"));
      });
  return least == UINT64_MAX ? std::nullopt : std::optional{least};
}

}  // namespace millrace::runtime
