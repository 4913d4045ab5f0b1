// SPDX-License-Identifier: MIT
// Space quota: how much of the disk the silo's storage may use, and who is refused first.
//
// Puts stop at 85 % and deletes at 95 %, because a copy-on-write tree needs free pages to delete
// anything, and the checkpoint must be able to write what the journal has accepted.
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

/// The used space of a journal and a checkpoint together, against one quota, or against what the
/// disk can hold when that is less.
///
/// Threading: the journal thread; `used_permille` from any.
class space_quota {
public:
  /// Requires: quota_bytes > 0.
  space_quota(const journal& entries, const checkpoint& rows, std::uint64_t quota_bytes)
      : journal_(entries),
        checkpoint_(rows),
        quota_bytes_(quota_bytes),
        limit_bytes_(quota_bytes) {}

  /// Measures the space again when that is due. Time: called before each group commit.
  /// Errors: `storage_failed`.
  result<void> refresh(steady_time now);

  /// Whether the operations of one commit may be written; if so, they count as used.
  [[nodiscard]] bool admits(std::string_view ops);

  [[nodiscard]] std::uint64_t used_permille() const noexcept {
    return used_permille_.load(std::memory_order_relaxed);
  }

private:
  [[nodiscard]] std::uint64_t permille_of(std::uint64_t bytes) const noexcept;

  const journal& journal_;
  const checkpoint& checkpoint_;
  const std::uint64_t quota_bytes_;
  std::uint64_t limit_bytes_;     // the quota, or what the disk can hold
  std::uint64_t used_bytes_ = 0;  // as measured, and what was admitted since
  std::uint64_t admitted_bytes_ = 0;
  steady_time measured_at_{};
  std::atomic<std::uint64_t> used_permille_{0};
};

}  // namespace millrace::runtime
