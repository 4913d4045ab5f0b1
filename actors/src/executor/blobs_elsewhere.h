// SPDX-License-Identifier: MIT
// Blobs elsewhere: what other executors keep, asked by calls.
#pragma once

#include "artifact/artifact_delivery.h"
#include "millrace/runtime/silo.h"

namespace millrace::actors {

/// Of all executors of the pool. Requires: `home` outlives what is answered.
[[nodiscard]] blob_sources blobs_by(runtime::silo& home);

}  // namespace millrace::actors
