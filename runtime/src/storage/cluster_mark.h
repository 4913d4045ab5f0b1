// SPDX-License-Identifier: MIT
// Cluster mark: which cluster a data directory belongs to, and as whose.
//
// It is written before the first copy of that cluster is, so that whatever a cluster has
// acknowledged lies in directories that name it. A coordination store that knows nothing of them
// (emptied, another one, an old backup of it) is told from the right one by it.
//
//   CLUSTER in the data directory, text: magic, version, cluster id, silo, incarnation
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "millrace/runtime/result.h"

namespace millrace::runtime {

struct cluster_mark {
  std::string cluster_id;         ///< As in the settings of the cluster.
  std::string silo;               ///< The name of the silo that keeps its copies here.
  std::uint64_t incarnation = 0;  ///< Of its last life; 0: it has not joined yet.
  friend bool operator==(const cluster_mark&, const cluster_mark&) = default;
};

/// Where the mark of a data directory is.
[[nodiscard]] std::string cluster_mark_file(const std::string& directory);

[[nodiscard]] std::string to_text(const cluster_mark& mark);

/// Errors: `failed_precondition` for what is no mark, or of a newer version.
[[nodiscard]] result<cluster_mark> parse_cluster_mark(const std::string& text);

/// The mark of a data directory; nothing when it belongs to no cluster.
/// Errors: as `parse_cluster_mark`, naming the file; as `file_error`.
[[nodiscard]] result<std::optional<cluster_mark>> read_cluster_mark(const std::string& directory);

/// Replaces it; on the disk when this returns. Errors: as `file_error`.
[[nodiscard]] result<void> write_cluster_mark(const std::string& directory,
                                              const cluster_mark& mark);

}  // namespace millrace::runtime
