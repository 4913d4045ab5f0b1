// SPDX-License-Identifier: MIT
// Partition record: what the coordination store says of a partition, as far as its copies care.
//
// It is changed by compare-and-set against its version only. The changes are worked out here, each
// as the record that is to take the place of the one known.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "partition/copy_state.h"

namespace millrace::runtime {

/// A copy of a partition, and the silo where it lies.
struct placed_copy {
  copy_id id;
  std::string silo;
  friend bool operator==(const placed_copy&, const placed_copy&) = default;
};

enum class partition_state : std::uint8_t {
  recovering,  ///< The primary of the epoch answers nothing yet.
  active,
};

/// Why a partition has gone on without what may have been committed, for people.
struct loss_note {
  std::string silo;           ///< Whose copy it went on from.
  std::string reason;         ///< As the operator gave it.
  std::int64_t at_ms = 0;     ///< Of the wall clock, since 1970.
  bool acknowledged = false;  ///< Somebody has seen it.
  friend bool operator==(const loss_note&, const loss_note&) = default;
};

struct partition_record {
  std::uint64_t version = 0;  ///< Of the store; grows with every change of the record.
  partition_state state = partition_state::recovering;
  std::uint64_t data_loss_no = 0;
  std::uint64_t epoch = 0;
  copy_id primary;
  std::vector<placed_copy> in_sync;
  std::size_t in_sync_min = 1;        ///< With fewer members nothing is committed.
  std::vector<placed_copy> eligible;  ///< Out of the set, and complete all the same.
  std::uint64_t commit_floor = 0;     ///< A number that was committed.
  std::uint64_t nonce = 0;            ///< Of the compare-and-set that made it.
  loss_note loss;                     ///< Of `data_loss_no`.
  friend bool operator==(const partition_record&, const partition_record&) = default;
};

/// A nonce is the incarnation of the silo that asked for the change, so many bits, and a number.
inline constexpr unsigned life_shift = 24;
/// Whose change made the record: the life of the primary's silo. A later one does not lead by it.
[[nodiscard]] constexpr std::uint64_t life_of(const partition_record& record) noexcept {
  return record.nonce >> life_shift;
}

/// Sets list copies, not silos: what is wiped and comes back is not who was in the set.
[[nodiscard]] bool is_same(const placed_copy& one, const placed_copy& other);
[[nodiscard]] bool contains(const std::vector<placed_copy>& set, const placed_copy& copy);

/// Whether everything that was committed is on that copy's disk, by the record.
[[nodiscard]] bool is_complete(const partition_record& record, const placed_copy& copy);

/// Takes copies out of the set. Below the minimum nothing is committed, so they stay complete.
void remove(partition_record& record, const std::vector<placed_copy>& copies);

/// Takes a copy into the set. A set that has its minimum again may commit what others lack.
void add(partition_record& record, const placed_copy& copy);

/// The record with that copy, which is complete, as primary of a new epoch, at least `epoch`.
[[nodiscard]] partition_record with_primary(const partition_record& record, const placed_copy& copy,
                                            std::uint64_t epoch);

/// The record with that copy as all there is, whatever others have: data may be lost, and the
/// number of the last such loss grows. For an operator to ask for, never for a program.
[[nodiscard]] partition_record with_data_lost(const partition_record& record,
                                              const placed_copy& copy, std::uint64_t epoch);

}  // namespace millrace::runtime
