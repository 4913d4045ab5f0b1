// SPDX-License-Identifier: MIT
// Backup stream: the form of a backup, on its way out and in.
//
// The line "millrace-backup 1\n", then chunks: u8 kind, u32 bytes, u64 XXH3-64 of kind and payload
// (seed: the checksum of the chunk before, so that none is lost, doubled or moved), payload.
// Numbers are little-endian. Kinds, in this order:
//   'H'  once: u16 partition count
//   'R'  rows, sorted by partition and key: u16 partition, u16 key bytes, u32 value bytes, key,
//   value 'E'  once: u64 rows, u64 bytes of their keys and values
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "millrace/runtime/backup.h"
#include "millrace/runtime/ids.h"

namespace millrace::runtime {

/// Writes one backup. Errors of every member: those of the sink.
class backup_writer {
public:
  explicit backup_writer(const byte_sink& sink) : sink_(sink) {}

  result<void> begin(std::uint16_t partition_count);
  result<void> add(partition_id partition, std::string_view key, std::string_view value);
  result<void> finish();

private:
  result<void> flush(char kind);

  const byte_sink& sink_;
  std::string payload_;
  std::uint64_t chain_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t bytes_ = 0;
};

/// A row on its way in; views that are valid until the visitor returns.
struct backup_row {
  partition_id partition{};
  std::string_view key;
  std::string_view value;
};

/// Reads one backup: calls `begin` with the partition count, then `take` for the rows of each
/// chunk. Errors: those of `restore_storage` that concern the stream, and those of the two.
[[nodiscard]] result<restored_rows> read_backup(
    const byte_source& source, const std::function<result<void>(std::uint16_t)>& begin,
    const std::function<result<void>(const std::vector<backup_row>&)>& take);

}  // namespace millrace::runtime
