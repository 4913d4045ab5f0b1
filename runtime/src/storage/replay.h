// SPDX-License-Identifier: MIT
// Replay: what the journal holds beyond the checkpoint, and whether the two belong together.
#pragma once

#include <functional>

#include "partition/partition_log.h"
#include "storage/checkpoint.h"
#include "storage/journal.h"

namespace millrace::runtime {

/// Rebuilds `log` from the checkpoint's tails and the whole journal, and calls `apply` for each
/// entry that the checkpoint does not have, in order.
///
/// Errors: `storage_failed` when journal and checkpoint are corrupt or do not belong together.
result<void> replay_journal(const journal& entries, const checkpoint_progress& progress,
                            partition_log& log,
                            const std::function<void(const journal_entry&)>& apply);

}  // namespace millrace::runtime
