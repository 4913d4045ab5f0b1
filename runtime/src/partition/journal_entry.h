// SPDX-License-Identifier: MIT
// Journal entry: the form in which one commit of one partition lies in the journal.
//
// Entries of a partition form a chain: each carries the epoch and digest of the one before, and
// its digest covers them, so an entry that is lost, doubled, reordered or altered is found by
// whoever follows the chain (after TigerBeetle's hash-chained log).
//
// Encoding (little endian, no padding), part of the disk and wire contract:
//   u16 partition, u64 epoch, u64 seq, u64 prev_epoch, u64 prev_digest, operations (`row_ops`),
//   u64 digest = XXH3-64, seed 0, of everything before it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// The last entry of a partition's chain; all zero before the first.
struct log_tail {
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  std::uint64_t digest = 0;
  friend bool operator==(const log_tail&, const log_tail&) = default;
};

/// A decoded entry; `ops` points into the encoding.
struct journal_entry {
  partition_id partition{};
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  std::uint64_t prev_epoch = 0;
  std::uint64_t prev_digest = 0;
  std::string_view ops;
  std::uint64_t digest = 0;

  /// The tail of the chain that ends here.
  [[nodiscard]] log_tail tail() const noexcept { return {epoch, seq, digest}; }
};

/// What an entry costs on top of its operations.
inline constexpr std::size_t journal_entry_overhead_bytes = 2 + 4 * 8 + 8;

/// Appends the encoding of an entry to `out` and returns the entry's digest.
std::uint64_t encode_entry(const journal_entry& entry, std::string& out);

/// Errors: `storage_failed` when the digest or the length does not fit. The operations are covered
/// by the digest and not decoded.
[[nodiscard]] result<journal_entry> decode_entry(std::string_view encoded);

}  // namespace millrace::runtime
