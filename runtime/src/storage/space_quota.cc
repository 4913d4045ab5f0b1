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

// A commit of this many bytes is small: it delivers or settles something. What starts something is
// refused before it gets here, by whoever lets work in.
constexpr std::size_t small_bytes_max = 1024;

// What a commit that makes room may write: its root, and for each row that goes a send or a mark
// that tells somebody (an outbox row with its index, an inbox row).
constexpr std::size_t making_room_bytes = 8192;
constexpr std::size_t making_room_row_bytes = 512;

// Room in either file that is kept for commits that make room, and what those need for the copies
// of the pages on their way.
constexpr std::uint64_t small_room_bytes = 3U << 20U;
constexpr std::uint64_t erase_room_bytes = 128U << 10U;

std::string mebibytes(std::uint64_t bytes) {
  return std::to_string(bytes >> 20U) + " MiB";
}

}  // namespace

space_quota::commit_kind space_quota::kind_of(std::string_view ops) {
  row_op_cursor cursor{ops};
  row_op op;
  std::size_t put_bytes = 0;
  std::size_t erased = 0;
  while (cursor.next(op)) {
    put_bytes += op.kind == row_op_kind::put ? op.key.size() + op.value.size() : 0;
    erased += op.kind == row_op_kind::erase ? 1 : 0;
  }
  if (erased > 0 && put_bytes <= making_room_bytes + making_room_row_bytes * erased) {
    return commit_kind::makes_room;
  }
  return put_bytes <= small_bytes_max ? commit_kind::small : commit_kind::adds;
}

space_quota::levels space_quota::levels_with(std::uint64_t extra_bytes,
                                             std::uint64_t available) const noexcept {
  const auto permille = [](std::uint64_t used, std::uint64_t of) {
    return static_cast<std::uint64_t>(static_cast<double>(used) * 1000.0 /
                                      static_cast<double>(std::max<std::uint64_t>(of, 1)));
  };
  const auto entries = entries_.used + extra_bytes * pages_factor;
  const auto rows = rows_.used + (pending_bytes_ + extra_bytes) * pages_factor;
  const auto most = std::min(available, quota_bytes_);
  const auto entries_max = entries_.file_bytes + most;
  const auto rows_max = rows_.file_bytes + most;
  levels found;
  found.quota = permille(entries + rows, quota_bytes_);
  found.disk = std::max(permille(entries, entries_max), permille(rows, rows_max));
  found.room =
      std::min(entries_max - std::min(entries, entries_max), rows_max - std::min(rows, rows_max));
  return found;
}

result<void> space_quota::refresh(steady_time now, std::uint64_t pending_bytes) {
  available_ = journal_.bytes_available();
  entries_.used = journal_.bytes_used_at_most();
  entries_.file_bytes = entries_.used + journal_.bytes_reserved();
  rows_.used = checkpoint_.bytes_used_at_most();
  rows_.file_bytes = rows_.used + checkpoint_.bytes_reserved();
  pending_bytes_ = pending_bytes;
  admitted_since_ += admitted_bytes_;
  admitted_bytes_ = 0;
  if (available_ < disk_bytes_min || levels_with(0, available_).fullest() >= exact_above_permille) {
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
    entries_.used = std::min<std::uint64_t>(entries_.used, measured_entries_ + since);
    rows_.used = std::min<std::uint64_t>(rows_.used, measured_rows_ + since);
  }
  used_permille_.store(levels_with(0, available_).fullest(), std::memory_order_relaxed);
  return {};
}

// Of a disk that others have filled, the files' own room, the reserve among it, is a small part and
// may yet be enough: for what does not add, bytes count.
shortage space_quota::shortage_for(commit_kind kind, const levels& with, std::uint64_t disk_max) {
  switch (kind) {
    case commit_kind::adds:
      if (with.quota >= add_permille_max) {
        return shortage::quota;
      }
      return with.disk >= disk_max ? shortage::disk : shortage::none;
    case commit_kind::small:
      if (with.quota >= small_permille_max) {
        return shortage::quota;
      }
      return with.disk >= small_permille_max && with.room < small_room_bytes ? shortage::disk
                                                                             : shortage::none;
    case commit_kind::makes_room:
      if (with.quota >= erase_permille_max) {
        return shortage::quota;
      }
      return with.disk >= erase_permille_max && with.room < erase_room_bytes ? shortage::disk
                                                                             : shortage::none;
  }
  return shortage::none;
}

shortage space_quota::admit(std::string_view ops) {
  const auto with = levels_with(admitted_bytes_ + ops.size(), available_);
  const auto disk_max = available_ < disk_bytes_min ? full_disk_permille_max : add_permille_max;
  // With room for everything the operations need not be looked at.
  if (with.quota >= add_permille_max || with.disk >= disk_max) {
    if (const auto missing = shortage_for(kind_of(ops), with, disk_max);
        missing != shortage::none) {
      return missing;
    }
  }
  admitted_bytes_ += ops.size();
  return shortage::none;
}

shortage space_quota::now() const {
  const auto available = journal_.bytes_available();
  const auto found = levels_with(0, available);
  if (found.quota >= add_permille_max) {
    return shortage::quota;
  }
  return available < disk_bytes_min || found.disk >= add_permille_max ? shortage::disk
                                                                      : shortage::none;
}

error space_quota::text_of(shortage what) const {
  constexpr auto retry_after = std::chrono::milliseconds{1000};
  if (what == shortage::disk) {
    return error{errc::out_of_space,
                 "disk full: " + std::to_string(journal_.bytes_available() >> 10U) +
                     " KiB are free for " + directory_ + "; make room there, or delete runs",
                 retry_after};
  }
  return error{errc::out_of_space,
               "the storage quota of " + directory_ +
                   " is used up: " + mebibytes(entries_.used + rows_.used) + " of " +
                   mebibytes(quota_bytes_) + "; delete something or raise the quota",
               retry_after};
}

}  // namespace millrace::runtime
