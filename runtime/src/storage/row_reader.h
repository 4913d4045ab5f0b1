// SPDX-License-Identifier: MIT
// Row reader: answers range reads from the overlay and the checkpoint together.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "millrace/runtime/storage.h"
#include "storage/checkpoint.h"
#include "storage/overlay.h"
#include "storage/row_prover.h"

namespace millrace::runtime {

/// A view of overlay and checkpoint that belong together: no commit is missing, doubled or half
/// there. Threading: one thread at a time.
class row_view {
public:
  row_view(const overlay& recent, checkpoint_snapshot& snapshot)
      : overlay_(recent), snapshot_(snapshot) {}
  row_view(const row_view&) = delete;
  row_view& operator=(const row_view&) = delete;
  ~row_view() { close(); }

  /// Takes the present state. Errors: `storage_failed`.
  result<void> open();
  void close();

  /// As `open`, for a view that is held for longer than a read: commits that come later do not get
  /// into it. Requires: nothing is committed meanwhile. Cost: copies the active generation.
  result<void> open_for_long();

  /// The rows of `range`, at most `range.limit`, in key order.
  /// Errors: `storage_failed`.
  result<std::vector<row>> read(partition_id partition, const key_range& range);
  /// Those of several ranges, behind the rows that are there. Requires: a range or more, as
  /// `checkpoint_snapshot::scan` wants them. Errors: `storage_failed`.
  result<void> read_into(std::vector<row>& rows, partition_id partition,
                         std::span<const key_range> ranges);

  /// Calls `visit` for the rows of `range` in key order until it fails; the limit is not looked at.
  /// Errors: `storage_failed`, those of `visit`.
  result<void> each_row(
      partition_id partition, const key_range& range,
      const std::function<result<void>(std::string_view, std::string_view)>& visit);

private:
  [[nodiscard]] overlay_generation::range_rows recent_rows(partition_id partition,
                                                           std::span<const key_range> ranges) const;

  const overlay& overlay_;
  checkpoint_snapshot& snapshot_;
  overlay_view recent_;
  bool open_ = false;
};

/// The reader thread: takes all requests that queued, in batches that share one view.
///
/// Threading: `read`, `rest_later`, `rows_read` and `stop` from any thread.
class row_reader {
public:
  row_reader(const overlay& recent, std::unique_ptr<checkpoint_snapshot> snapshot,
             std::uint16_t partition_count, row_prover& proof);
  row_reader(const row_reader&) = delete;
  row_reader& operator=(const row_reader&) = delete;
  ~row_reader() { stop(); }

  /// Queues a request, or answers it `unavailable` on this thread when stopped.
  void read(std::unique_ptr<read_request> request);

  [[nodiscard]] std::uint64_t rows_read() const noexcept {
    return rows_read_.load(std::memory_order_relaxed);
  }

  /// Others have read the checkpoint: it is to rest when nobody has for a while.
  void rest_later();

  /// Whether everything that was asked for has been answered.
  [[nodiscard]] bool is_idle() {
    const std::lock_guard lock{mutex_};
    return asleep_ || stopping_;
  }

  /// Answers what is queued, then joins. Idempotent.
  void stop();

private:
  using requests = std::vector<std::unique_ptr<read_request>>;

  void run();
  void answer(std::span<std::unique_ptr<read_request>> batch);
  result<std::vector<row>> rows_of(row_view& view, const result<void>& opened,
                                   const read_request& request);

  const overlay& overlay_;
  const std::unique_ptr<checkpoint_snapshot> snapshot_;
  const std::uint16_t partition_count_;
  row_prover& proof_;
  std::atomic<std::uint64_t> rows_read_{0};
  std::vector<result<std::vector<row>>> answers_;
  std::vector<key_range> ranges_;  // of the request that is being answered

  std::mutex mutex_;
  std::condition_variable queued_signal_;
  requests queued_;
  bool asleep_ = false;
  bool has_rested_ = false;  // since the last read
  bool stopping_ = false;
  std::mutex stop_mutex_;
  std::jthread thread_;
};

}  // namespace millrace::runtime
