// SPDX-License-Identifier: MIT
// Artifact delivery: gets artifacts of other tasks from the executors that keep them, and puts
// their files into a workspace.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/blob_store.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// How other executors are reached. Empty functions: there is none.
struct blob_sources {
  /// As `blob_store::read`, of the store of that executor. Errors: also those of calls. Blocks.
  std::function<runtime::result<blob_piece>(const std::string& executor, const std::string& run,
                                            const std::string& digest, std::uint64_t offset)>
      read = {};
  /// Every executor that may be asked. Blocks.
  std::function<std::vector<std::string>()> executors = {};
};

using artifact_sources = capnp::List<schemas::ArtifactSource>::Reader;

/// Threading: one thread at a time. Cost: blocks on the disk and the network.
class artifact_delivery {
public:
  /// Requires: `store` outlives it.
  artifact_delivery(blob_store& store, blob_sources elsewhere)
      : store_(store), elsewhere_(std::move(elsewhere)) {}

  /// Gets into the store what the run has not there yet: from the executor that made it, or any
  /// other that has it. What has come is kept for the next try; digests are checked.
  /// Errors: `unavailable` where another try may do better; `not_found` where everybody has
  /// answered and nobody has it; those of the store; `cancelled` once `wanted` says no.
  [[nodiscard]] runtime::result<void> fetch(std::string_view run, artifact_sources sources,
                                            const std::function<bool()>& wanted);

  /// Forgets parts of what did not come.
  void give_up() { begun_.clear(); }

  /// Puts the files into the directory `workspace`, in place of whatever stands there.
  /// Errors: `failed_precondition` where two sources have one path, naming both; those of files.
  /// Requires: they have been fetched.
  [[nodiscard]] runtime::result<void> place(std::string_view run, artifact_sources sources,
                                            int workspace) const;

private:
  struct wish;
  [[nodiscard]] runtime::result<void> get(const wish& wanted);
  [[nodiscard]] runtime::result<void> get_from(const std::string& executor, const wish& wanted);
  [[nodiscard]] runtime::result<std::vector<artifact_file>> list_of(std::string_view run,
                                                                    std::string_view digest) const;

  blob_store& store_;
  const blob_sources elsewhere_;
  std::map<std::string, blob_store::draft, std::less<>> begun_;  // by digest
  std::vector<blob_store::draft> whole_;                         // of the present try
};

}  // namespace millrace::actors
