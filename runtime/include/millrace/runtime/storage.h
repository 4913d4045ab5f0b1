// SPDX-License-Identifier: MIT
// Storage: where one silo's partitions keep the rows of their actors.
//
// An activation changes its state by committing a batch of absolute puts and deletes to its
// partition; the batch is one journal entry, so it is wholly there after a crash or wholly absent.
// It reads its state back by asking for all rows below a key prefix. How rows are laid out in keys
// is the runtime's business; to storage a key is opaque bytes that sort.
//
// Everything here is asynchronous and called from turns, so nothing here blocks: requests are
// queued, and each is answered by its own `done` on one of the storage's threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/histogram.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

class replication;

/// The longest row key; with the partition in front it stays within LMDB's 511 bytes.
inline constexpr std::size_t row_key_bytes_max = 500;

/// The largest value of one row; larger state belongs into several rows of a map.
inline constexpr std::size_t row_value_bytes_max = 16U << 20U;

/// The most bytes of encoded operations in one commit.
inline constexpr std::size_t commit_bytes_limit = 64U << 20U;
/// The same in a cluster: what one message between silos carries. A row is no larger, either.
inline constexpr std::size_t commit_bytes_limit_in_cluster = 7U << 20U;

/// The puts and deletes of one commit, in order, in the form in which the journal stores them.
///
/// Encoding (little endian, no padding), repeated: `u8 kind (1 put, 2 erase), u16 key bytes,
/// u32 value bytes (0 for erase), key, value`. Part of the disk contract.
class row_ops {
public:
  /// Requires: key.size() <= row_key_bytes_max, value.size() <= row_value_bytes_max.
  void put(std::string_view key, std::string_view value);
  /// No effect when the row is absent. Requires: as for `put`.
  void erase(std::string_view key);

  /// Room for a value of `size` bytes under `key`, to be filled by the caller at once; invalid
  /// after the next member call.
  [[nodiscard]] char* put_uninitialized(std::string_view key, std::size_t size);

  /// Whether it would change nothing.
  [[nodiscard]] bool empty() const noexcept { return encoded_.empty(); }
  /// The encoding.
  [[nodiscard]] const std::string& encoded() const noexcept { return encoded_; }
  /// Forgets the operations and keeps the memory.
  void clear() noexcept { encoded_.clear(); }
  /// Forgets the operations since the encoding had that size. Requires: it has had it.
  void cut_back(std::size_t encoded_bytes) noexcept { encoded_.resize(encoded_bytes); }

  /// Calls `put(key, value)` or `erase(key)` for each, in order.
  /// Errors: `storage_failed` when `encoded` is not a well-formed encoding.
  static result<void> for_each(std::string_view encoded,
                               const std::function<void(std::string_view, std::string_view)>& put,
                               const std::function<void(std::string_view)>& erase);

private:
  std::string encoded_;
};

/// One atomic change of one partition, and who to tell.
///
/// Ownership: the caller allocates it and hands it over with `storage::commit`; storage gives it
/// back by calling `done` exactly once and does not touch the object afterwards: `done` deletes it
/// or keeps it for another use.
class commit_request {
public:
  commit_request() = default;
  commit_request(const commit_request&) = delete;
  commit_request& operator=(const commit_request&) = delete;
  virtual ~commit_request() = default;

  partition_id partition{};  ///< Whose rows change.
  /// In which epoch this silo served the actor that asks; in another one storage refuses it. 0: of
  /// a storage that is alone.
  std::uint64_t epoch = 0;
  row_ops ops;  ///< What changes.

  /// Success: the batch is on disk, in a cluster on that of each copy that has to have it, and
  /// every later read sees it. An error: it is not, and never will be, except `outcome_unknown`:
  /// another silo leads the partition by now, with or without the batch.
  ///
  /// Threading: called on a storage thread, or within `commit` once storage has stopped; must not
  /// block.
  /// Errors: `out_of_space` (quota or disk full; nothing written; try again when there is room),
  /// `too_large` (over `commit_bytes_limit`), `invalid_argument` (no such partition),
  /// `storage_failed`, `unavailable` (storage has stopped); in a cluster also `not_primary`
  /// (nothing written), `not_enough_replicas` (the same; try again when there are),
  /// `outcome_unknown`.
  virtual void done(result<void> outcome) = 0;

private:
  friend class commit_queue;
  friend class journal_writer;
  commit_request* next_ = nullptr;
  std::uint64_t seq_ = 0;  // of its entry
  steady_time queued_at_{};
};

/// A row as read: the key without its partition, and the verified value.
struct row {
  std::string key;    ///< Without the partition.
  std::string value;  ///< Verified by its checksum.
};

/// Which rows of a partition are asked for, and how much of each.
struct row_range {
  std::string prefix;            ///< Of the keys; empty: all rows.
  std::string from;              ///< Keys before this one are not asked for.
  std::string until;             ///< Nor is this one, or those behind it; empty: no such bound.
  std::size_t limit = SIZE_MAX;  ///< The first rows, at most so many.
  /// Longer values come cut to this. With any but the default a row that fails its checksum comes
  /// with an empty value and hides no other; so may each behind a mebibyte of whole values.
  std::size_t value_bytes_max = SIZE_MAX;

  /// The one row of that key: no other is looked at, be it damaged.
  [[nodiscard]] static row_range one(std::string key);
};

/// A question for rows of a partition.
///
/// Ownership and threading as for `commit_request`.
class read_request {
public:
  read_request() = default;
  read_request(const read_request&) = delete;
  read_request& operator=(const read_request&) = delete;
  virtual ~read_request() = default;

  partition_id partition{};  ///< Whose rows are read.
  std::string prefix;        ///< With which their keys begin; the ranges are of what follows.
  /// Which of them; they live as long as this. In ascending order they are one search.
  std::span<const row_range> ranges;

  /// The rows of all ranges in their order, in each by key, as of one moment after all commits
  /// whose `done` was called before the request was made.
  /// Errors: `storage_failed` (a checksum did not match; never returned as data),
  /// `invalid_argument` (no such partition), `unavailable`.
  virtual void done(result<std::vector<row>> rows) = 0;
};

/// Figures for metrics and for `readyz`.
struct storage_stats {
  std::uint64_t commits = 0;                  ///< Batches acknowledged since open.
  std::uint64_t group_commits = 0;            ///< Disk flushes that carried them.
  std::uint64_t rows_read = 0;                ///< By `read`, since open.
  histogram commit_time;                      ///< From a commit's queueing to its answer.
  histogram flush_time;                       ///< Of the disk flushes.
  std::uint64_t written_bytes = 0;            ///< To the journal, since open.
  std::uint64_t journal_backlog_bytes = 0;    ///< Queued, not yet on disk.
  std::uint64_t overlay_bytes = 0;            ///< Committed, not yet in the checkpoint.
  std::uint64_t checkpoint_lag_batches = 0;   ///< In the journal, not yet in the checkpoint.
  std::uint64_t journal_bytes = 0;            ///< Size of the journal, reusable pages included.
  std::uint64_t map_used_permille = 0;        ///< Used space of both environments, of the quota.
  std::uint64_t checkpoint_transactions = 0;  ///< Of the checkpoint, since open.
  std::uint64_t checkpoint_rows = 0;          ///< Rows written to the checkpoint, after coalescing.
};

/// Durable rows of one silo. Implementations: `open_storage` (LMDB), `make_memory_storage`.
///
/// When the disk fails (EIO, a failed flush, a corrupt environment) the process ends at once with
/// status 74 and a line on standard error, and answers nothing any more: what was acknowledged is
/// on the disk, and nobody can say more than that.
///
/// Threading: every member may be called from any thread.
class storage {
public:
  storage() = default;
  storage(const storage&) = delete;
  storage& operator=(const storage&) = delete;
  virtual ~storage() = default;

  /// Queues a commit. Commits of one partition take effect in the order of the calls; commits that
  /// queue while a flush runs share the next one. Cost: a lock or less, no I/O.
  virtual void commit(std::unique_ptr<commit_request> request) = 0;

  /// Queues a read.
  virtual void read(std::unique_ptr<read_request> request) = 0;

  /// Blocking range read for start-up and tools: calls `visit` for at most `limit` rows of
  /// `partition` whose key is >= `from` and starts with `prefix`, in key order, until it returns
  /// false. Sees committed rows only.
  virtual result<void> scan(partition_id partition, std::string_view prefix, std::string_view from,
                            std::size_t limit, const std::function<bool(const row&)>& visit) = 0;

  /// Blocking: sends all rows, as of one moment after the call, to `write` in pieces; commits go on
  /// meanwhile. `restore_storage` (backup.h) makes a data directory of them. At most one at a time.
  ///
  /// Cost: disk space freed by commits is not used again until it is over.
  /// In a cluster: its own copies, of all partitions, a moment behind their primaries.
  /// Errors: `storage_failed` (a row is damaged: nothing wrong gets into a backup), `unavailable`
  /// (storage has stopped, or this implementation cannot), `failed_precondition` (in a cluster: a
  /// copy here is not in sync), those of `write`.
  virtual result<void> backup(const std::function<result<void>(std::string_view)>& write) {
    static_cast<void>(write);
    return error{errc::unavailable, "this storage makes no backups"};
  }

  /// Whether the queue of commits is over its bound, so that new work should be answered with
  /// `overloaded`. Falls back to false as the disk catches up.
  [[nodiscard]] virtual bool saturated() const noexcept = 0;

  /// Why commits that add something are refused at this moment, if they are: the disk is full or
  /// the quota used up, with the directory and the remedy. Commits that make room, and small ones
  /// that finish what was accepted before, still go on for a while. Cost: a system call.
  [[nodiscard]] virtual std::optional<error> refusal() const { return std::nullopt; }

  /// 128 random bits minted when the data directory was made; a restored or wiped one differs.
  [[nodiscard]] virtual std::string allocation_id() const = 0;

  /// How many partitions the data directory was made with.
  [[nodiscard]] virtual std::uint16_t partition_count() const noexcept = 0;

  /// Figures of this moment.
  [[nodiscard]] virtual storage_stats stats() const = 0;

  /// Its side of a cluster; null when this implementation cannot be part of one.
  [[nodiscard]] virtual replication* cluster_side() noexcept { return nullptr; }

  /// Refuses new requests, answers the queued ones, flushes, joins its threads. Idempotent.
  virtual void stop() = 0;
};

/// How `open_storage` lays out a data directory.
struct storage_options {
  std::string directory;  ///< Made if absent; holds `journal/`, `checkpoint/`, `LOCK`, `FORMAT`.
  std::uint16_t partition_count =
      partition_count_default;  ///< Only used when the directory is new.
  /// The silo is part of a cluster: nothing is led here before it has joined, and is told so.
  bool in_cluster = false;
  /// Address space of each environment; 0: as much as the quota asks for, and no more than a
  /// quarter of what the process may map (`ulimit -v`).
  std::size_t map_bytes = 0;
  /// For both environments together; 0: 64 GiB, or the size of one map if that is less. What adds
  /// is refused at 85 %, what makes room at 95 %.
  std::size_t disk_quota_bytes = 0;
  std::size_t commit_bytes_max = 4U << 20U;    ///< The most one group commit carries.
  std::size_t backlog_bytes_max = 64U << 20U;  ///< Queued commits before `saturated()`.
  std::size_t overlay_bytes_max = 256U
                                  << 20U;     ///< Committed, not checkpointed, before writers wait.
  std::size_t checkpoint_bytes = 32U << 20U;  ///< Overlay size that starts a checkpoint.
  std::int64_t checkpoint_interval_ms = 1000;  ///< The longest a committed row waits for one.
  /// By which copies wait for each other; the silo's. Null: the machine's. Outlives the storage.
  const clock* time = nullptr;
};

/// Opens or makes the data directory and replays its journal.
///
/// Errors, each naming the directory and the remedy: `conflict` (another process has it open; with
/// its pid), `failed_precondition` (made by another format version, not a data directory, one of a
/// cluster without `in_cluster`, or a standard descriptor is closed, whose number a data file could
/// get), `storage_failed` (unreadable or corrupt), `out_of_space`, `permission_denied`.
[[nodiscard]] result<std::unique_ptr<storage>> open_storage(const storage_options& options);

/// Makes a SIGBUS, SIGSEGV or SIGABRT that a damaged or unreadable page of a data file causes end
/// the process with status 74 and a line that names the file. Without it such a signal ends the
/// process too, but says nothing. Elsewhere these signals do what they did before this was called.
///
/// The program `millrace` calls it; so should `main` of a program that embeds a silo, after
/// anything that installs handlers for these signals itself. Threading: once, before other threads
/// exist.
void watch_storage_signals() noexcept;

/// Rows in memory only: for tests and for silos whose state may die with them. `done` is called by
/// a thread of its own, in order.
[[nodiscard]] std::unique_ptr<storage> make_memory_storage(
    std::uint16_t partition_count = partition_count_default);

}  // namespace millrace::runtime
