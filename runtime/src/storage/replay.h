// SPDX-License-Identifier: MIT
// Replay: the copies of partitions as a journal and a checkpoint hold them, and whether the two
// belong together.
#pragma once

#include <functional>
#include <vector>

#include "partition/replica.h"
#include "storage/checkpoint.h"
#include "storage/journal.h"
#include "storage/replica_table.h"

namespace millrace::runtime {

/// What a copy's state has in place of its checkpoint's tail while its rows are being replaced:
/// they are neither old nor new, and there are no entries.
inline constexpr log_tail void_tail{0, 0, 0x6e6f726f77736f6bULL};
[[nodiscard]] inline bool is_void(const copy_state& state) noexcept {
  return state.checkpointed == void_tail;
}

/// Gives every partition a copy that is on the disk, in a journal that has none yet: a new one, or
/// one of an earlier format version, whose entries become the copies'.
///
/// Errors: as `recover_copies`; those of `journal::write`.
result<void> make_copies(journal& entries, const checkpoint& rows, std::uint16_t partition_count);

/// The copies as they are on the disk, in the order of partitions. What is committed above the
/// checkpoint is for each copy to find out.
///
/// Errors: `storage_failed` when journal and checkpoint are damaged or do not belong together.
[[nodiscard]] result<std::vector<replica>> recover_copies(const journal& entries,
                                                          const checkpoint_progress& progress,
                                                          std::uint16_t partition_count,
                                                          steady_time now);

/// Calls `apply` for each entry that is committed and not in the checkpoint, in order, and tells
/// `copies` that it was. Errors: those of the journal.
result<void> apply_committed(const journal& entries, replica_table& copies,
                             const std::function<void(const journal_entry&)>& apply);

}  // namespace millrace::runtime
