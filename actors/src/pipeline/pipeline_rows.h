// SPDX-License-Identifier: MIT
// The rows that a pipeline keeps its records under.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/names.h"

namespace millrace::actors {

inline constexpr unsigned pipeline_version_digits = 10;
inline constexpr unsigned pipeline_time_digits = 20;
inline constexpr std::uint32_t page_default = 100;
inline constexpr std::uint32_t page_max = 1'000;

// How many rows a page has of which so many are asked for; 0: as many as are usual.
inline std::uint32_t page_of(std::uint32_t limit) {
  return limit == 0 ? page_default : std::min(limit, page_max);
}

// The row of a run: its id with each hexadecimal digit inverted. Ids sort by time, so rows sort
// the newest first, and a page of them is read without passing over the others. Of an empty id the
// row is empty: the start of the list. Of a row it is the id.
inline std::string newest_first(std::string_view run) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string row{run};
  for (auto& each : row) {
    if (const auto at = digits.find(each); at != std::string_view::npos) {
      each = digits[digits.size() - 1 - at];
    }
  }
  return row;
}

// The row of a run in the order in which runs have ended.
inline std::string ended_row(std::int64_t finished_at, std::string_view run) {
  return padded(static_cast<std::uint64_t>(finished_at), pipeline_time_digits) + std::string{run};
}

// The row of a version.
inline std::string version_row(std::uint32_t version) {
  return padded(version, pipeline_version_digits);
}

}  // namespace millrace::actors
