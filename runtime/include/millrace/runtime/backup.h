// SPDX-License-Identifier: MIT
// Backups: a silo's rows as a stream of bytes, back from one, and whether a directory is sound.
//
// A backup is taken with `storage::backup`, while the silo works. It holds the rows of all
// partitions as of one moment, and nothing else: no journal, no free pages. Restored, it makes a
// data directory of the newest format with an allocation id of its own, since a copy is another
// copy. It belongs to no cluster, whatever it was taken of.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// Where a stream goes: takes the next bytes. An error ends the stream and is its outcome.
using byte_sink = std::function<result<void>(std::string_view bytes)>;

/// Where one comes from: fills up to `size` bytes and returns how many; 0 at the end.
using byte_source = std::function<result<std::size_t>(char* to, std::size_t size)>;

/// The length of a backup's last part.
inline constexpr std::size_t backup_end_bytes = 1 + 4 + 8 + 16;

/// Whether a stream with these last `backup_end_bytes` was sent to its end: for who passes one on.
[[nodiscard]] bool ends_a_backup(std::string_view last) noexcept;

/// What a backup held.
struct restored_rows {
  std::uint16_t partition_count = 0;  ///< Of the silo that it was taken of.
  std::uint64_t rows = 0;             ///< Of all partitions.
  std::uint64_t bytes = 0;            ///< Of keys and values.
};

/// Makes the data directory `directory` from a backup. It appears whole or not at all: until the
/// last row is on the disk it is `directory`.restoring, which a later call removes.
///
/// Errors: `conflict` (there is something under that name), `invalid_argument` (not a backup, or of
/// a newer version), `storage_failed` (a backup that is cut short or damaged), `out_of_space`,
/// `permission_denied`, those of `source`.
[[nodiscard]] result<restored_rows> restore_storage(const std::string& directory,
                                                    const byte_source& source);

/// What `check_storage` found.
struct storage_check {
  unsigned format_version = 0;        ///< Of the directory, as found.
  std::uint16_t partition_count = 0;  ///< That it was made with.
  std::string allocation_id;          ///< As `storage::allocation_id`.
  std::string cluster_id;             ///< That it belongs to; empty: to none.
  std::string silo;                   ///< Whose it is in that cluster.
  std::uint64_t journal_entries = 0;  ///< Those that the checkpoint has not, and some that it has.
  std::uint64_t rows = 0;             ///< Of the checkpoint.
  std::uint64_t row_bytes = 0;        ///< Of keys and values.
  std::uint64_t damaged_rows = 0;     ///< Present, but not what their checksum says.
  std::vector<std::string>
      faults;  ///< Everything that is wrong, file and remedy with it; empty: sound.
};

/// Reads all of a data directory that no process uses, and changes nothing in it.
///
/// Errors: `not_found` (no data directory), `conflict` (in use), `permission_denied`,
/// `failed_precondition` (of another format version). Damage is no error but a fault.
[[nodiscard]] result<storage_check> check_storage(const std::string& directory);

/// What `check_local_store` found.
struct local_store_check {
  std::string cluster_id;           ///< That it belongs to; empty: to none yet.
  std::size_t silos = 0;            ///< That are in.
  std::size_t partitions = 0;       ///< That have a record.
  std::vector<std::string> faults;  ///< Everything that is wrong, with the remedy; empty: sound.
};

/// Reads all of the coordination store that silos of one machine share (`local:DIRECTORY`), and
/// changes no record of it. Silos may use it: none writes to it meanwhile.
///
/// Errors: `not_found` (no store), `failed_precondition` (in use on another machine, of a newer
/// build), `permission_denied`, `unavailable` (others do not let it in). Damage is no error but a
/// fault.
[[nodiscard]] result<local_store_check> check_local_store(const std::string& directory);

}  // namespace millrace::runtime
