// SPDX-License-Identifier: MIT
// Copy state: what one copy of a partition keeps on the disk beside its entries.
//
// Its tail and its lineage are not here: they are read from the entries. Nor is its commit number:
// after a restart a copy counts as committed what its checkpoint holds, and learns the rest.
//
// Encoding (little endian, no padding), part of the disk contract:
//   u64 copy id high, u64 low, u64 data_loss_no, u64 promised_epoch,
//   u64 epoch, u64 seq, u64 digest of `checkpointed`,
//   u64 XXH3-64 of everything before it, seed: the partition.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"
#include "partition/journal_entry.h"

namespace millrace::runtime {

/// One copy of one partition: 128 random bits minted when it is made. A copy that is wiped or
/// restored is another copy (the allocation id of replication.md).
struct copy_id {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const copy_id&, const copy_id&) = default;
};

/// What a copy keeps.
struct copy_state {
  copy_id id;
  std::uint64_t data_loss_no = 0;    ///< Of the last time that data was given up on purpose.
  std::uint64_t promised_epoch = 0;  ///< Entries of lower epochs are refused.
  /// The checkpoint holds the partition at least up to here; what the journal has below may go.
  log_tail checkpointed;
  friend bool operator==(const copy_state&, const copy_state&) = default;
};

/// The bytes of an encoded state.
inline constexpr std::size_t copy_state_bytes = 64;

/// A copy that never was before. Threading: any thread.
[[nodiscard]] copy_id mint_copy_id();

/// 32 hexadecimal digits.
[[nodiscard]] std::string to_text(const copy_id& id);

void append_copy_state(partition_id partition, const copy_state& state, std::string& out);

/// Errors: `storage_failed` when it is not a state of that partition.
[[nodiscard]] result<copy_state> decode_copy_state(partition_id partition,
                                                   std::string_view encoded);

}  // namespace millrace::runtime
