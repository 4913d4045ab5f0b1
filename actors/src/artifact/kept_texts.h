// SPDX-License-Identifier: MIT
// Kept texts: large outputs as blobs beside the artifacts, and back into the inputs of commands.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/blob_store.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// `the output "found" of 'probe[3]'`.
[[nodiscard]] std::string name_of(schemas::KeptInput::Reader input);

/// Keeps them for the run, all or none, and answers their digests in order.
/// Errors: `cancelled` once `wanted` says no; `out_of_space`, `storage_failed`.
/// Cost: blocks on the disk.
[[nodiscard]] runtime::result<std::vector<std::string>> keep_texts(
    const std::vector<std::string_view>& texts, std::string_view run, blob_store& store,
    const std::function<bool()>& wanted);

/// The JSON with the texts in it. Requires: they have been fetched.
/// Errors: `storage_failed` for one that is not what it was, naming it; `not_found`.
/// Cost: blocks on the disk; the whole stands in memory.
[[nodiscard]] runtime::result<std::string> whole_inputs(schemas::LargeInputs::Reader inputs,
                                                        std::string_view run,
                                                        const blob_store& store);

}  // namespace millrace::actors
