// SPDX-License-Identifier: MIT
// Rows of maps that have several records of each schedule, or of each backfill.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/clock.h"
#include "pipeline/names.h"

namespace millrace::actors {

inline constexpr unsigned row_digits = 20;

[[nodiscard]] inline runtime::wall_time time_of(std::int64_t nanoseconds_of) {
  return runtime::wall_time{runtime::duration{nanoseconds_of}};
}

/// The row of a nominal time, so that rows sort as times do, also before 1970. A name has no slash.
[[nodiscard]] inline std::string row_of(std::string_view name, std::int64_t nominal) {
  constexpr auto sign = std::uint64_t{1} << 63U;
  return std::string{name} + "/" + padded(static_cast<std::uint64_t>(nominal) ^ sign, row_digits);
}

/// The rows of a map that begin with `name` and a slash, at most so many.
template <class Map>
[[nodiscard]] std::vector<std::string> rows_of(const Map& map, std::string_view name,
                                               std::size_t most) {
  const auto before = std::string{name} + "/";
  std::vector<std::string> rows;
  map.for_each(
      [&](std::string_view row, const auto&) {
        if (!row.starts_with(before) || rows.size() == most) {
          return false;
        }
        rows.emplace_back(row);
        return true;
      },
      before);
  return rows;
}

}  // namespace millrace::actors
