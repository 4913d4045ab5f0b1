// SPDX-License-Identifier: MIT
// `millrace dev --silos` as a child process, and what it has printed.
#pragma once

#include <chrono>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/process.h"

namespace millrace::testing {

/// Its processes by name.
struct dev_lines {
  std::string url;
  std::map<std::string, pid_t> pids;
};

inline dev_lines parse(const std::string& printed) {
  dev_lines lines;
  std::istringstream words{printed};
  std::string word;
  while (words >> word) {
    std::string name;
    std::string pid;
    if (word == "gateway") {
      words >> lines.url >> pid >> lines.pids["gateway"];
    } else if (word == "silo") {
      words >> name >> pid;
      words >> lines.pids[name];
    }
  }
  return lines;
}

/// Asks until the answer has that text; a minute is more than any takeover takes.
inline bool becomes(const std::vector<std::string>& asked, const std::string& text) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (std::chrono::steady_clock::now() < end) {
    if (millrace(asked).output.find(text) != std::string::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace millrace::testing
