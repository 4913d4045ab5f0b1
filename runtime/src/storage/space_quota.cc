// SPDX-License-Identifier: MIT
#include "storage/space_quota.h"

#include <algorithm>

#include "storage/row_codec.h"

namespace millrace::runtime {
namespace {

// Below this the cheap upper bound is good enough; above, the free pages are counted.
constexpr std::uint64_t exact_above_permille = 800;

// Counting walks the list of free pages, so it is done at most this often...
constexpr duration measure_interval = std::chrono::milliseconds{20};

// ...unless this part of the quota was admitted meanwhile.
constexpr std::uint64_t admitted_share = 64;

bool erases_only(std::string_view ops) {
  row_op_cursor cursor{ops};
  row_op op;
  while (cursor.next(op)) {
    if (op.kind != row_op_kind::erase) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::uint64_t space_quota::permille_of(std::uint64_t bytes) const noexcept {
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * 1000.0 /
                                    static_cast<double>(limit_bytes_));
}

result<void> space_quota::refresh(steady_time now) {
  const auto at_most = journal_.bytes_used_at_most() + checkpoint_.bytes_used_at_most();
  const auto available = journal_.bytes_available();
  limit_bytes_ =
      available < quota_bytes_ ? std::min(quota_bytes_, at_most + available) : quota_bytes_;
  if (permille_of(at_most) < exact_above_permille) {
    used_bytes_ = at_most;
    admitted_bytes_ = 0;
  } else if (now - measured_at_ >= measure_interval ||
             admitted_bytes_ > limit_bytes_ / admitted_share) {
    auto of_journal = journal_.bytes_used();
    if (!of_journal) {
      return of_journal.error();
    }
    auto of_checkpoint = checkpoint_.bytes_used();
    if (!of_checkpoint) {
      return of_checkpoint.error();
    }
    used_bytes_ = *of_journal + *of_checkpoint;
    admitted_bytes_ = 0;
    measured_at_ = now;
  }
  used_permille_.store(permille_of(used_bytes_), std::memory_order_relaxed);
  return {};
}

bool space_quota::admits(std::string_view ops) {
  const auto permille = permille_of(used_bytes_ + ops.size());
  if (permille >= erase_permille_max || (permille >= put_permille_max && !erases_only(ops))) {
    return false;
  }
  used_bytes_ += ops.size();
  admitted_bytes_ += ops.size();
  return true;
}

}  // namespace millrace::runtime
