// SPDX-License-Identifier: MIT
// Journal writer: the thread that makes commits durable, in groups.
//
// Everything that queued while the last group was being flushed goes into the next one. A group is
// chained, written and flushed, then applied to the overlay, then answered. The thread also decides
// when the overlay is frozen, and trims the journal behind the checkpoint.
#pragma once

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "meter.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/storage.h"
#include "partition/partition_log.h"
#include "storage/checkpoint_writer.h"
#include "storage/commit_queue.h"
#include "storage/journal.h"
#include "storage/overlay.h"
#include "storage/row_prover.h"
#include "storage/space_quota.h"

namespace millrace::runtime {

/// Figures of the journal writer.
struct journal_counters {
  std::atomic<std::uint64_t> commits{0};
  std::atomic<std::uint64_t> group_commits{0};
  std::atomic<std::uint64_t> backlog_bytes{0};
  std::atomic<std::uint64_t> journal_bytes{0};  // as the quota measures it
  std::atomic<std::uint64_t> last_position{0};
  detail::meter_count written_bytes;
  detail::meter_histogram commit_time;
  detail::meter_histogram flush_time;
};

/// The parts a journal writer works on. Ownership: they outlive it.
struct journal_writer_parts {
  journal& entries;
  partition_log& log;
  overlay& recent;
  checkpoint& rows;
  row_prover& proof;
};

/// Threading: `commit`, `saturated`, `counters`, `used_permille` and `stop` from any thread.
class journal_writer {
public:
  journal_writer(const journal_writer_parts& parts, const storage_options& options,
                 std::uint64_t applied);
  journal_writer(const journal_writer&) = delete;
  journal_writer& operator=(const journal_writer&) = delete;
  ~journal_writer() { stop(); }

  /// Queues a request, or answers it `unavailable` on this thread when stopped.
  void commit(commit_request* request);

  [[nodiscard]] bool saturated() const noexcept;
  /// As `storage::refusal`.
  [[nodiscard]] std::optional<error> refusal() const;
  [[nodiscard]] std::uint64_t used_permille() const noexcept { return quota_.used_permille(); }
  [[nodiscard]] const journal_counters& counters() const noexcept { return counters_; }
  /// Batches of the journal that the checkpoint has not.
  [[nodiscard]] std::uint64_t lag_batches() const noexcept;
  [[nodiscard]] const checkpoint_counters& checkpoint_figures() const noexcept {
    return checkpoint_writer_.counters();
  }

  /// Runs `work` on the journal thread between two groups and returns after it: nothing is
  /// committed meanwhile. False, and not run, once the writer has stopped.
  /// Threading: any thread but the journal's; one at a time.
  bool between_groups(const std::function<void()>& work);

  /// Flushes and answers what is queued, then joins. Idempotent.
  void stop();

private:
  // A request that is on its way, and what it will be told.
  struct answer {
    commit_request* request;
    result<void> outcome;
  };

  // What `between_groups` waits for.
  struct visit {
    const std::function<void()>* work = nullptr;
    bool done = false;
  };

  void run();
  void receive_visit();
  // Waits for room in the overlay; false when there will be none for now.
  bool make_room();
  void write_group();
  void gather_group();
  // What keeps a request from being written, if anything does.
  result<void> admit(const commit_request& request);
  void append_group();
  void answer_group();
  void refuse_pending();
  void freeze_if_due(bool overlay_is_full);
  // Trims a little, if that is due; returns how long the thread may sleep.
  duration idle_work();
  // Deletes from the journal's front in a transaction of its own.
  void trim(std::size_t entries_max);
  [[nodiscard]] journal_trim next_trim(std::size_t appended) const;

  journal_writer_parts parts_;
  const storage_options options_;
  system_clock clock_;
  space_quota quota_;
  journal_counters counters_;
  commit_queue queue_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> overlay_full_{false};
  std::atomic<std::uint64_t> applied_;  // the checkpoint has the journal up to here

  // The journal thread's own.
  commit_list pending_;
  std::vector<answer> group_;
  std::string group_bytes_;
  std::vector<std::size_t> group_ends_;
  std::vector<std::string_view> group_entries_;
  std::uint64_t index_trimmed_;
  steady_time active_since_{};  // when the first row entered the active generation
  steady_time busy_at_{};       // the last group commit
  steady_time trim_failed_at_{};
  bool active_empty_ = true;
  bool out_of_space_ = false;  // the last group met a full disk or quota

  checkpoint_writer checkpoint_writer_;
  std::mutex visit_mutex_;
  std::condition_variable visit_ended_;
  visit* visit_ = nullptr;
  bool visits_refused_ = false;
  std::mutex stop_mutex_;
  std::jthread thread_;
};

}  // namespace millrace::runtime
