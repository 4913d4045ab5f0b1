// SPDX-License-Identifier: MIT
// Cluster entry: whether what a silo has and what its coordination store says belong together.
//
// A cluster's acknowledged writes lie in the data directories of its silos; the store only says who
// has them. A store that knows nothing of a directory's cluster would have its partitions begun
// anew, by whoever is preferred, without what others have. So a silo with data goes into its own
// cluster, or begins one with what it has and alone does so; everything else it refuses in words.
//
// Pure: no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordination/records.h"
#include "millrace/runtime/result.h"
#include "storage/cluster_mark.h"

namespace millrace::runtime {

/// What is known before a silo has joined.
struct entry_facts {
  std::string silo;
  std::string where;                    ///< The store, as an operator has named it.
  std::string file;                     ///< Where the mark is, or would be.
  std::string allocation_id;            ///< Of the data directory.
  std::uint16_t partition_count = 0;    ///< Of the data directory.
  bool has_data = false;                ///< Something of a partition is in it.
  bool founds_anew = false;             ///< The operator gives the old cluster up.
  std::optional<cluster_mark> mark;     ///< Of the data directory.
  std::optional<cluster_settings> now;  ///< In the store.
};

/// What to do: nothing when the silo belongs to the cluster `now`, else settings to be made, with
/// `cluster_id`. Errors: `failed_precondition`, with what has happened and what to do.
[[nodiscard]] result<std::optional<cluster_settings>> enter_cluster(const entry_facts& facts,
                                                                    const std::string& cluster_id);

/// Whether the store is the one that gave the last life its incarnation: its numbers grow.
/// Errors: `failed_precondition`: it has gone back.
[[nodiscard]] result<void> check_incarnation(const entry_facts& facts, std::uint64_t incarnation);

}  // namespace millrace::runtime
