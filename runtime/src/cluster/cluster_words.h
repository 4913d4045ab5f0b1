// SPDX-License-Identifier: MIT
// Cluster words: how lines of the log name partitions and silos.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "coordination/coordination_store.h"

namespace millrace::runtime {

// In one line of the log.
inline constexpr std::size_t told_partitions_max = 64;

inline std::string numbered(partition_id partition) {
  return " partition=" + std::to_string(static_cast<unsigned>(partition));
}

inline std::string counted(const std::vector<partition_id>& partitions) {
  auto text = " count=" + std::to_string(partitions.size()) + " partitions=";
  for (std::size_t at = 0; at < std::min(partitions.size(), told_partitions_max); ++at) {
    text += at == 0 ? "" : ",";
    text += std::to_string(static_cast<unsigned>(partitions[at]));
  }
  return text + (partitions.size() > told_partitions_max ? ",..." : "");
}

inline std::string named(const silo_row& row) {
  return " silo=" + row.name + " incarnation=" + std::to_string(row.incarnation);
}

}  // namespace millrace::runtime
