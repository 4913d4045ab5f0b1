// SPDX-License-Identifier: MIT
// Checkpoint writer: the thread that brings frozen overlay generations into the checkpoint.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "millrace/runtime/clock.h"
#include "storage/checkpoint.h"
#include "storage/overlay.h"

namespace millrace::runtime {

/// Figures of the checkpoint writer.
struct checkpoint_counters {
  std::atomic<std::uint64_t> transactions{0};
  std::atomic<std::uint64_t> rows{0};
};

/// Writes one generation at a time. Short of room it uses smaller transactions, each of which
/// frees pages for the next; when the disk is full it stalls: it keeps the generation and tries
/// again later. Any other failure ends the process (`storage_lost`).
class checkpoint_writer {
public:
  enum class state {
    idle,     ///< Nothing to write.
    writing,  ///< A generation is being written.
    stalled,  ///< The disk is full; the generation waits for room.
  };

  /// Nothing is written before `may_write` has returned true; false ends the thread.
  /// `on_written` is told up to where the checkpoint now holds each partition that the generation
  /// changed; it is called on the writer's thread, after the generation has left the overlay.
  checkpoint_writer(checkpoint& rows, overlay& recent, std::function<bool()> may_write,
                    std::function<void(const std::vector<partition_tail>&)> on_written);
  checkpoint_writer(const checkpoint_writer&) = delete;
  checkpoint_writer& operator=(const checkpoint_writer&) = delete;
  ~checkpoint_writer() { stop(); }

  /// Requires: idle.
  void start(std::shared_ptr<const overlay_generation> generation);

  [[nodiscard]] state current() const;

  /// Blocks while a generation is being written; returns `idle` or `stalled`.
  state wait_while_writing() const;

  /// Finishes the generation in hand, unless it is stalled (the journal has it), and joins.
  void stop();

  [[nodiscard]] const checkpoint_counters& counters() const noexcept { return counters_; }

private:
  void run();
  void write(const overlay_generation& generation);
  // Writes the transaction that begins at change `begin`; returns where the next one begins.
  result<std::size_t> write_part(const overlay_generation& generation,
                                 std::span<const checkpoint_change> changes, std::size_t begin,
                                 std::size_t rows_max);
  // Waits before the next try; false when it is time to stop.
  bool wait_for_room();
  void set(state next);

  checkpoint& checkpoint_;
  overlay& overlay_;
  const std::function<bool()> may_write_;
  const std::function<void(const std::vector<partition_tail>&)> on_written_;
  checkpoint_counters counters_;
  system_clock clock_;
  steady_time tidied_at_{};

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::shared_ptr<const overlay_generation> generation_;
  state state_ = state::idle;
  bool stopping_ = false;
  std::jthread thread_;
};

}  // namespace millrace::runtime
