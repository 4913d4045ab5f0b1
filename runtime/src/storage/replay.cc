// SPDX-License-Identifier: MIT
#include "storage/replay.h"

#include "storage/storage_lost.h"

namespace millrace::runtime {

result<void> replay_journal(const journal& entries, const checkpoint_progress& progress,
                            partition_log& log,
                            const std::function<void(const journal_entry&)>& apply) {
  for (const auto& tail : progress.tails) {
    if (auto restored = log.restore_tail(tail); !restored) {
      return restored;
    }
  }
  const auto applied = progress.applied;
  if (entries.last() < applied || entries.first() > applied + 1) {
    return error{errc::storage_failed,
                 "the journal holds entries " + std::to_string(entries.first()) + " to " +
                     std::to_string(entries.last()) + " but the checkpoint ends at " +
                     std::to_string(applied) + "; they do not belong together; " +
                     std::string{damage_remedy}};
  }
  auto scanned = entries.scan(
      entries.first(), [&](std::uint64_t position, std::string_view encoded) -> result<void> {
        auto entry = decode_entry(encoded);
        if (!entry) {
          return error{errc::storage_failed, entry.error().text() + " (position " +
                                                 std::to_string(position) + "); " +
                                                 std::string{damage_remedy}};
        }
        if (auto chained = log.recover(*entry, position, applied); !chained) {
          return chained;
        }
        if (position > applied) {
          apply(*entry);
        }
        return {};
      });
  return scanned ? log.finish_recovery() : scanned;
}

}  // namespace millrace::runtime
