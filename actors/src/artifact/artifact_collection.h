// SPDX-License-Identifier: MIT
// Artifact collection: takes the files that a command has left into the blob store.
//
// What runs beside it may change the workspace meanwhile: no link is followed, nothing is opened
// that an open could wait for or set off, and what is stored is what was read.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/blob_store.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// An artifact that was kept.
struct kept_artifact {
  std::string name;
  std::string digest;
  std::uint32_t files = 0;
  std::uint64_t bytes = 0;
};

/// Keeps what `wishes` ask for of the directory `workspace`; only when all is well anything. What
/// is optional and not there is left out.
/// Errors: `failed_precondition` for what the command has or has not left, with the artifact's name
/// and the reason; `cancelled` once `wanted` says no; `out_of_space`, `storage_failed`.
/// Cost: blocks on the disk: the files are read and written once.
[[nodiscard]] runtime::result<std::vector<kept_artifact>> collect_artifacts(
    capnp::List<schemas::ArtifactWish>::Reader wishes, int workspace, std::string_view run,
    blob_store& store, const std::function<bool()>& wanted);

}  // namespace millrace::actors
