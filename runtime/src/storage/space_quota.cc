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

// What bytes become as pages, at worst: leaves are half full after a split, and a value just over a
// page (or over half of one) takes twice its size.
constexpr std::uint64_t pages_factor = 2;

// What a commit that erases may put and still count as a delete: room for a version or a mark.
constexpr std::size_t mark_bytes_max = 64;

bool makes_room(std::string_view ops) {
  row_op_cursor cursor{ops};
  row_op op;
  std::size_t put_bytes = 0;
  bool erases = false;
  while (cursor.next(op)) {
    put_bytes += op.kind == row_op_kind::put ? op.key.size() + op.value.size() : 0;
    erases = erases || op.kind == row_op_kind::erase;
  }
  return erases && put_bytes <= mark_bytes_max;
}

}  // namespace

std::uint64_t space_quota::fullest_permille(std::uint64_t extra_bytes) const noexcept {
  const auto permille = [](std::uint64_t used, std::uint64_t of) {
    return static_cast<std::uint64_t>(static_cast<double>(used) * 1000.0 / static_cast<double>(of));
  };
  const auto entries = entries_.used + extra_bytes * pages_factor;
  const auto rows = rows_.used + (pending_bytes_ + extra_bytes) * pages_factor;
  return std::max({permille(entries + rows, quota_bytes_), permille(entries, entries_.capacity),
                   permille(rows, rows_.capacity)});
}

result<void> space_quota::refresh(steady_time now, std::uint64_t pending_bytes) {
  const auto available = std::min(journal_.bytes_available(), quota_bytes_);
  entries_.used = journal_.bytes_used_at_most();
  entries_.capacity = entries_.used + available;
  rows_.used = checkpoint_.bytes_used_at_most();
  rows_.capacity = rows_.used + available;
  pending_bytes_ = pending_bytes;
  admitted_since_ += admitted_bytes_;
  admitted_bytes_ = 0;
  if (fullest_permille(0) >= exact_above_permille) {
    if (now - measured_at_ >= measure_interval || admitted_since_ > quota_bytes_ / admitted_share) {
      auto entries = journal_.bytes_used();
      if (!entries) {
        return entries.error();
      }
      auto rows = checkpoint_.bytes_used();
      if (!rows) {
        return rows.error();
      }
      measured_entries_ = *entries;
      measured_rows_ = *rows;
      measured_at_ = now;
      admitted_since_ = 0;
    }
    const auto since = admitted_since_ * pages_factor;
    entries_.used = std::min(entries_.used, measured_entries_ + since);
    rows_.used = std::min(rows_.used, measured_rows_ + since);
  }
  used_permille_.store(fullest_permille(0), std::memory_order_relaxed);
  return {};
}

bool space_quota::admits(std::string_view ops) {
  const auto permille = fullest_permille(admitted_bytes_ + ops.size());
  if (permille >= erase_permille_max || (permille >= put_permille_max && !makes_room(ops))) {
    return false;
  }
  admitted_bytes_ += ops.size();
  return true;
}

}  // namespace millrace::runtime
