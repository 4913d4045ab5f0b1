// SPDX-License-Identifier: MIT
// Space quota: how much of the disk the silo's storage may use, and who is refused first.
//
// Puts stop at 85 % and deletes (which may put a mark) at 95 %, because a copy-on-write tree needs
// free pages to delete anything, and the checkpoint must be able to write what the journal has
// accepted. Three levels are watched, and the fullest counts: both environments against the quota,
// and each environment against what the disk can hold of it. The last two are apart since an
// environment's file never shrinks, so that one's free pages are of no use to the other.
#pragma once

#include <atomic>
#include <cstdint>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"
#include "storage/checkpoint.h"
#include "storage/journal.h"

namespace millrace::runtime {

inline constexpr std::uint64_t put_permille_max = 850;
inline constexpr std::uint64_t erase_permille_max = 950;

/// The space that a journal and a checkpoint use, and may use.
///
/// Threading: the journal thread; `used_permille` from any.
class space_quota {
public:
  /// Requires: quota_bytes > 0.
  space_quota(const journal& entries, const checkpoint& rows, std::uint64_t quota_bytes)
      : journal_(entries), checkpoint_(rows), quota_bytes_(quota_bytes) {}

  /// Measures the space again where that is due; `pending_bytes` are committed and not yet in the
  /// checkpoint. Time: called before each group commit.
  /// Errors: `storage_failed`.
  result<void> refresh(steady_time now, std::uint64_t pending_bytes);

  /// Whether the operations of one commit may be written; if so, they count as used.
  [[nodiscard]] bool admits(std::string_view ops);

  /// The fullest level.
  [[nodiscard]] std::uint64_t used_permille() const noexcept {
    return used_permille_.load(std::memory_order_relaxed);
  }

private:
  struct space {
    std::uint64_t used = 0;      // measured, or an upper bound
    std::uint64_t capacity = 1;  // what the disk can hold of it
  };

  [[nodiscard]] std::uint64_t fullest_permille(std::uint64_t extra_bytes) const noexcept;

  const journal& journal_;
  const checkpoint& checkpoint_;
  const std::uint64_t quota_bytes_;
  space entries_;
  space rows_;
  std::uint64_t pending_bytes_ = 0;   // will be in the checkpoint
  std::uint64_t admitted_bytes_ = 0;  // since the last refresh
  // The last exact measurement, and what was admitted since.
  steady_time measured_at_{};
  std::uint64_t measured_entries_ = 0;
  std::uint64_t measured_rows_ = 0;
  std::uint64_t admitted_since_ = 0;
  std::atomic<std::uint64_t> used_permille_{0};
};

}  // namespace millrace::runtime
