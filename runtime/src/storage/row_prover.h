// SPDX-License-Identifier: MIT
// Row prover: nothing is answered from a checkpoint that nobody has looked through.
//
// A damaged tree hides rows, and a row that is not found looks like one that never was. So after an
// open each partition is proven (`checkpoint::prove`) before its first row is read, and all of them
// before anything is written, since a list of free pages that names a living one does its harm at a
// write. A thread goes through the partitions; who needs one before its turn proves it himself.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "storage/checkpoint.h"

namespace millrace::runtime {

/// Threading: any thread. A checkpoint that is damaged ends the process (`storage_lost`).
class row_prover {
public:
  /// Ownership: `rows` outlives it.
  row_prover(const checkpoint& rows, std::uint16_t partition_count);
  row_prover(const row_prover&) = delete;
  row_prover& operator=(const row_prover&) = delete;
  ~row_prover() { stop(); }

  /// See `storage_warnings`.
  void warn_by(std::function<void(const std::string&)> to);

  /// Returns once the rows of `partition` are proven. Requires: the partition exists.
  /// Cost: one load once everything is proven.
  void need(partition_id partition) {
    if (!all_proven_.load(std::memory_order_acquire)) {
      prove(static_cast<std::size_t>(partition));
    }
  }

  /// Whether all partitions are.
  [[nodiscard]] bool is_done() const noexcept {
    return all_proven_.load(std::memory_order_acquire);
  }

  /// Waits until all partitions are; false when `stop` came first.
  [[nodiscard]] bool wait_for_all();

  /// Rows that are there and do not match their checksums, as far as is known.
  [[nodiscard]] std::uint64_t damaged_rows() const noexcept {
    return damaged_rows_.load(std::memory_order_relaxed);
  }

  /// Ends the thread after the partition in hand. Idempotent.
  void stop();

private:
  enum class state : char { unknown, in_hand, proven };

  void run();
  void prove(std::size_t partition);
  void take(std::size_t partition, const proven_rows& found);
  void warn(std::string line);

  const checkpoint& checkpoint_;
  std::atomic<bool> all_proven_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> damaged_rows_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<state> states_;
  std::size_t left_;
  std::uint64_t row_count_ = 0;
  std::mutex stop_mutex_;
  std::mutex warn_mutex_;
  std::function<void(const std::string&)> warn_;
  std::vector<std::string> untold_;
  std::jthread thread_;
};

}  // namespace millrace::runtime
