// SPDX-License-Identifier: MIT
// Checkpoint: the ordered rows of all partitions, each as of one entry of its log.
//
// It is written in the background by one thread, in large sorted transactions, and read by others
// through snapshots. Every value is kept with a checksum over it and its key, and what does not
// match its checksum is never returned as data.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"
#include "partition/journal_entry.h"

namespace millrace::runtime {

/// Whoever has used a file and has nothing to do for so long lets it `rest`.
constexpr duration quiet_before_rest = std::chrono::seconds{1};

/// One row to write or remove. Ownership: views into what the caller keeps.
struct checkpoint_change {
  partition_id partition{};
  std::string_view key;
  std::string_view value;
  bool erased = false;
};

/// The last entry of a partition whose effects are in the rows.
struct partition_tail {
  partition_id partition{};
  log_tail tail;
};

/// How far the checkpoint has come.
struct checkpoint_progress {
  std::vector<partition_tail> tails;
  /// Format versions 1 and 2: the journal was in the rows up to this position.
  std::optional<std::uint64_t> position;
};

/// Which rows there are, whatever their order: their number, and the sum of their checksums, each
/// of which covers partition, key and value. So a row that is lost, doubled or of another time is
/// found, although nobody reads it.
struct row_digest {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;

  void add(std::uint64_t checksum) noexcept {
    ++count;
    sum += checksum;
  }
  void remove(std::uint64_t checksum) noexcept {
    --count;
    sum -= checksum;
  }
  friend bool operator==(const row_digest&, const row_digest&) = default;
};

/// What was found when the rows of a partition were proven.
struct proven_rows {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;    ///< Of keys and values.
  std::uint64_t damaged = 0;  ///< Rows that are there and do not match their checksum.
};

/// Of values that are wanted cut no more are looked at in one scan than have so much together, and
/// one: whoever wants their heads must not hold others up for as long as it takes to read and prove
/// them whole. A millisecond where they are in memory, some tens where the disk has to bring them.
constexpr std::size_t cut_scan_bytes_max = std::size_t{1} << 20U;

/// A `row_range` by views.
struct key_range {
  std::string_view prefix;
  std::string_view from;
  std::size_t limit = SIZE_MAX;  ///< Live rows wanted.
  std::string_view until{};
  std::size_t value_bytes_max = SIZE_MAX;
  /// With this all keys begin; the texts above are of what follows it.
  std::string_view base{};

  /// What follows the base in the first key that may be in it.
  [[nodiscard]] std::string_view first() const noexcept { return std::max(prefix, from); }
  /// Whether a key that is not before its first is in it; else none behind it is.
  [[nodiscard]] bool reaches(std::string_view key) const noexcept {
    return key.starts_with(base) && holds(key.substr(base.size()));
  }
  /// Whether all of it lies behind `other`, whose base is the same.
  [[nodiscard]] bool follows(const key_range& other) const noexcept {
    return other.first() < first() && !other.holds(first());
  }
  [[nodiscard]] std::string_view cut(std::string_view value) const noexcept {
    return value.substr(0, value_bytes_max);
  }
  /// As `reaches`, of what follows the base.
  [[nodiscard]] bool holds(std::string_view rest) const noexcept {
    return rest.starts_with(prefix) && (until.empty() || rest < until);
  }
};

/// Is given a range, a key in it and the value.
using row_visit = std::function<bool(const key_range&, std::string_view, std::string_view)>;

/// The rows as they were at one moment.
///
/// Threading: one thread at a time; any thread. Time: hold it between `renew` and `release` for at
/// most 100 ms: pages freed meanwhile cannot be used again.
class checkpoint_snapshot {
public:
  checkpoint_snapshot() = default;
  checkpoint_snapshot(const checkpoint_snapshot&) = delete;
  checkpoint_snapshot& operator=(const checkpoint_snapshot&) = delete;
  virtual ~checkpoint_snapshot() = default;

  /// Takes the newest state. Errors: `storage_failed`.
  virtual result<void> renew() = 0;
  virtual void release() = 0;

  /// Calls `visit` for the rows of each range in key order, their values uncut; once it returns
  /// false, no more of that range. The limits are not looked at. Requires: between `renew` and
  /// `release`; ranges of one base, of which each `follows` the one before. Cost: ranges between
  /// which there is no row are found as one.
  /// Errors: `storage_failed` for a value that does not match its checksum, unless values are
  /// wanted cut: then it is visited as an empty one, and so may be any behind
  /// `cut_scan_bytes_max`.
  virtual result<void> scan(partition_id partition, std::span<const key_range> ranges,
                            const row_visit& visit) = 0;

  /// Calls `visit` for the keys of `partition`, in order, whatever their values are, until it
  /// returns false. Requires: between `renew` and `release`. Errors: `storage_failed`.
  virtual result<void> scan_keys(partition_id partition,
                                 const std::function<bool(std::string_view)>& visit) = 0;

  /// As that of its checkpoint.
  virtual void rest() noexcept {}
};

/// The checkpoint of one silo. Implementations: `open_lmdb_checkpoint`, `make_memory_checkpoint`.
///
/// Threading: one writer at a time; snapshots and `bytes_used*` beside it.
class checkpoint {
public:
  checkpoint() = default;
  checkpoint(const checkpoint&) = delete;
  checkpoint& operator=(const checkpoint&) = delete;
  virtual ~checkpoint() = default;

  /// What the last write with progress stored, with the tails of all partitions that ever had one.
  /// Errors: `storage_failed`.
  [[nodiscard]] virtual result<checkpoint_progress> progress() const = 0;

  /// Proves that `partition` has exactly the rows that were written, and that what holds them can
  /// be relied on. Requires: nothing was written since the checkpoint was opened.
  /// Threading: any thread, beside itself and snapshots.
  /// Errors: `storage_failed`, naming the file, what is wrong and the remedy.
  [[nodiscard]] virtual result<proven_rows> prove(partition_id partition) const = 0;

  /// Rows of all partitions, as stored when the checkpoint was opened.
  [[nodiscard]] virtual std::uint64_t row_count() const noexcept = 0;

  /// Counts the rows of a checkpoint that was written before there were digests.
  /// Requires: as for `prove`. Errors: as `write`.
  virtual result<void> adopt() = 0;

  /// Of the rows of `partition` as the last write left them. Threading: the writer's.
  [[nodiscard]] virtual row_digest digest_of(partition_id partition) const = 0;

  /// Applies `changes`, which are sorted by partition and key, in one transaction that is on disk
  /// when this returns; with `progress`, stores that too. Erasing an absent row is no error.
  ///
  /// Errors: `out_of_space` (nothing changed; may be tried again), `storage_failed` (the checkpoint
  /// is lost: the process must end without another call).
  virtual result<void> write(std::span<const checkpoint_change> changes,
                             const checkpoint_progress* progress) = 0;

  [[nodiscard]] virtual result<std::unique_ptr<checkpoint_snapshot>> open_snapshot() = 0;

  /// Housekeeping for the writer's thread, about once a minute.
  virtual void tidy() = 0;

  /// Lets go of what of its file is mapped, so that a file at rest does not count as this process's
  /// memory: it stays in the system's cache, and is mapped again where it is read.
  /// Threading: any. Cost: of 16 MB 1 ms, when all of them are read again.
  virtual void rest() noexcept {}

  /// As in `journal`.
  [[nodiscard]] virtual result<std::uint64_t> bytes_used() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes_used_at_most() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t bytes_reserved() const noexcept { return 0; }
};

/// A checkpoint that dies with the process.
[[nodiscard]] std::unique_ptr<checkpoint> make_memory_checkpoint();

struct lmdb_options;

/// The checkpoint in the LMDB environment `options.directory`; its tables are proven, its rows are
/// not (`prove`). Errors: `storage_failed`, `out_of_space`, `permission_denied`.
[[nodiscard]] result<std::unique_ptr<checkpoint>> open_lmdb_checkpoint(const lmdb_options& options);

}  // namespace millrace::runtime
