// SPDX-License-Identifier: MIT
// Space quota: how much of the disk the silo's storage may use, and who is refused first.
//
// A copy-on-write tree needs free pages to delete anything, and the checkpoint must be able to
// write what the journal has accepted. So what adds stops at 85 %; small commits, as those that
// deliver and settle what was accepted before, at 90 %; and those that make room at 95 %, which
// leaves them a reserve that nothing else can use up, with what they write themselves. Three levels
// are watched, and the fullest counts: both environments against the quota, and each environment
// against what the disk can hold of it. The last two are apart since an environment's file never
// shrinks, so that one's free pages are of no use to the other. On a disk that others have filled
// nothing is added either.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"
#include "storage/checkpoint.h"
#include "storage/journal.h"

namespace millrace::runtime {

inline constexpr std::uint64_t add_permille_max = 850;
inline constexpr std::uint64_t small_permille_max = 900;
inline constexpr std::uint64_t erase_permille_max = 950;

/// A disk with less than this for anybody is full: nothing is added then that would need more than
/// half of what is left inside the files.
inline constexpr std::uint64_t disk_bytes_min = 1U << 20U;
inline constexpr std::uint64_t full_disk_permille_max = 500;

/// What there is too little of, if anything.
enum class shortage : std::uint8_t { none, quota, disk };

/// The space that a journal and a checkpoint use, and may use.
///
/// Threading: the journal thread; `used_permille`, `now` and `text_of` from any.
class space_quota {
public:
  /// `directory` is for texts. Requires: quota_bytes > 0.
  space_quota(const journal& entries, const checkpoint& rows, std::uint64_t quota_bytes,
              std::string directory)
      : journal_(entries),
        checkpoint_(rows),
        quota_bytes_(quota_bytes),
        directory_(std::move(directory)) {}

  /// Measures the space again where that is due; `pending_bytes` are committed and not yet in the
  /// checkpoint. Time: called before each group commit.
  /// Errors: `storage_failed`.
  result<void> refresh(steady_time now, std::uint64_t pending_bytes);

  /// What keeps the operations of one commit from being written; if nothing does, they count as
  /// used.
  [[nodiscard]] shortage admit(std::string_view ops);

  /// What keeps anything from being added at this moment: as of the last `refresh`, but with the
  /// disk as it is. Cost: a system call.
  [[nodiscard]] shortage now() const;

  /// The error that tells of a shortage. Requires: there is one.
  [[nodiscard]] error text_of(shortage what) const;

  /// The fullest level.
  [[nodiscard]] std::uint64_t used_permille() const noexcept {
    return used_permille_.load(std::memory_order_relaxed);
  }

private:
  // Read by `now` while the journal thread writes them.
  struct space {
    std::atomic<std::uint64_t> used{0};  // measured, or an upper bound
    std::atomic<std::uint64_t> file_bytes{
        0};  // what is the environment's: free pages and reserve too
  };
  struct levels {
    std::uint64_t quota = 0;  // permille
    std::uint64_t disk = 0;   // permille, of the fuller environment
    std::uint64_t room = 0;   // bytes that the fuller environment can still take
    [[nodiscard]] std::uint64_t fullest() const noexcept { return std::max(quota, disk); }
  };
  enum class commit_kind : std::uint8_t { adds, small, makes_room };

  static commit_kind kind_of(std::string_view ops);
  static shortage shortage_for(commit_kind kind, const levels& with, std::uint64_t disk_max);
  [[nodiscard]] levels levels_with(std::uint64_t extra_bytes,
                                   std::uint64_t available) const noexcept;

  const journal& journal_;
  const checkpoint& checkpoint_;
  const std::uint64_t quota_bytes_;
  const std::string directory_;
  space entries_;
  space rows_;
  std::atomic<std::uint64_t> pending_bytes_{0};  // will be in the checkpoint
  std::uint64_t available_ = 0;
  std::uint64_t admitted_bytes_ = 0;  // since the last refresh
  // The last exact measurement, and what was admitted since.
  steady_time measured_at_{};
  std::uint64_t measured_entries_ = 0;
  std::uint64_t measured_rows_ = 0;
  std::uint64_t admitted_since_ = 0;
  std::atomic<std::uint64_t> used_permille_{0};
};

}  // namespace millrace::runtime
