// SPDX-License-Identifier: MIT
// Journal writer: the thread that makes commits durable, in groups.
//
// Everything that queued while the last group was being flushed goes into the next one. Each
// request becomes an entry of its partition; once the group is on the disk the partitions' copies
// are told so, and what they say is committed is applied to the overlay and answered. The thread
// also decides when the overlay is frozen, and trims the journal behind the checkpoint.
#pragma once

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "meter.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/storage.h"
#include "storage/checkpoint_writer.h"
#include "storage/commit_queue.h"
#include "storage/group_appender.h"
#include "storage/group_company.h"
#include "storage/overlay.h"
#include "storage/replica_driver.h"
#include "storage/replica_table.h"
#include "storage/row_prover.h"
#include "storage/space_quota.h"

namespace millrace::runtime {

/// Figures of the journal writer.
struct journal_counters {
  std::atomic<std::uint64_t> commits{0};
  std::atomic<std::uint64_t> group_commits{0};
  std::atomic<std::uint64_t> backlog_bytes{0};
  std::atomic<std::uint64_t> journal_bytes{0};  // as the quota measures it
  std::atomic<std::uint64_t> lag_batches{0};    // committed, in no checkpoint
  detail::meter_count written_bytes;
  detail::meter_histogram commit_time;
  detail::meter_histogram flush_time;
};

/// The parts a journal writer works on. Ownership: they outlive it.
struct journal_writer_parts {
  journal& entries;
  replica_table& copies;
  overlay& recent;
  checkpoint& rows;
  row_prover& proof;
};

/// Threading: `commit`, `saturated`, `counters`, `used_permille` and `stop` from any thread.
class journal_writer : private driven_journal {
public:
  /// What is to be done with the copies, on the journal thread.
  using copies_input = std::function<void(replica_driver&, steady_time)>;

  journal_writer(const journal_writer_parts& parts, const storage_options& options);
  journal_writer(const journal_writer&) = delete;
  journal_writer& operator=(const journal_writer&) = delete;
  ~journal_writer() override { stop(); }

  /// See `replication`; false when the writer has stopped.
  bool join(replication_host& host, const replication_settings& settings);
  /// Queues an input for the copies; dropped when storage has not joined, or has stopped, and when
  /// too many `bytes` of them are queued, which is as if they were lost on the way.
  void post(copies_input what, std::size_t bytes = 0);
  [[nodiscard]] std::vector<copy_status> copies();
  [[nodiscard]] const partition_lease& lease(partition_id partition) const noexcept {
    return leases_[static_cast<std::size_t>(partition)];
  }

  /// Queues a request, or answers it `unavailable` on this thread when stopped.
  void commit(commit_request* request);

  [[nodiscard]] bool saturated() const noexcept;
  /// As `storage::refusal`.
  [[nodiscard]] std::optional<error> refusal() const;
  [[nodiscard]] std::uint64_t used_permille() const noexcept { return quota_.used_permille(); }
  [[nodiscard]] const journal_counters& counters() const noexcept { return counters_; }
  [[nodiscard]] const checkpoint_counters& checkpoint_figures() const noexcept {
    return checkpoint_writer_.counters();
  }

  /// Runs `work` on the journal thread between two groups and returns after it: nothing is
  /// committed meanwhile. False, and not run, once the writer has stopped.
  /// Threading: any thread but the journal's; one at a time.
  bool between_groups(const std::function<void()>& work);

  /// See `replication`.
  [[nodiscard]] std::optional<std::uint64_t> rounds_if_idle();

  /// Flushes and answers what is queued, then joins. Idempotent.
  void stop();

private:
  // A request that is refused, and why.
  struct refused {
    commit_request* request;
    error why;
  };

  // What `between_groups` waits for.
  struct visit {
    const std::function<void()>* work = nullptr;
    bool done = false;
  };

  // For the driver of the copies.
  void advance(partition_id partition) override;
  void outcome_unknown(partition_id partition) override;
  void changed_overlay() override;
  bool checkpoint_is_idle() override;
  void checkpoint_now(std::vector<partition_id> digests) override;

  void run();
  void receive_visit();
  void receive_inputs();
  void end_waiting();
  enum class room : std::uint8_t {
    there,
    later,  // a checkpoint makes some
    none,   // the disk is full
  };
  // Waits for room in the overlay, if it is alone.
  room make_room();
  void write_group();
  void wait_for_company();
  void gather_group();
  // What keeps a request from being written, if anything does.
  result<void> admit(const commit_request& request);
  void append(commit_request& request);
  // The group takes along what partitions no longer need, up to that many entries in all.
  void gather_erasures(std::size_t entries_max);
  result<void> flush_group();
  void withdraw_group();
  // Tells the copies what is on the disk; what they have committed is applied and answered.
  void commit_group();
  void answer(commit_request* request, result<void> outcome);
  void answer_refused();
  void refuse_pending();
  void freeze_if_due(bool overlay_is_full);
  void start_checkpoint();
  void put_state(partition_id partition);
  // Notes what the checkpoint has reached.
  void take_reached();
  // Trims a little, if that is due; returns how long the thread may sleep.
  duration idle_work();
  // Deletes from the journal, in a transaction of its own, what partitions no longer need.
  void trim(std::size_t entries_max);

  journal_writer_parts parts_;
  const storage_options options_;
  const clock& clock_;
  space_quota quota_;
  journal_counters counters_;
  commit_queue queue_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> rounds_{0};  // odd: the thread sleeps until there is something to do
  std::atomic<bool> overlay_full_{false};
  std::atomic<std::uint64_t> waiting_bytes_{0};  // on this disk, not yet on those of the others
  std::mutex reached_mutex_;
  std::vector<partition_tail> reached_;  // by the checkpoint, and not yet noted
  struct rows_digest {
    partition_tail at;
    row_digest digest;
  };
  void tell_digest(const rows_digest& found);
  std::vector<partition_tail> digests_wanted_;  // of the rows in the generation being written
  std::vector<rows_digest> digests_found_;
  std::vector<partition_lease> leases_;  // by partition
  std::mutex inputs_mutex_;
  std::vector<copies_input> inputs_;
  std::size_t input_bytes_ = 0;

  // The journal thread's own.
  commit_list pending_;
  group_company company_;
  group_appender group_;
  std::vector<partition_id> touched_;  // by the group
  struct appended {
    std::uint64_t group_begin = 0;  // the first entry of the group; 0: none
    commit_list waiting;            // for their entries to be committed
  };
  std::vector<appended> appended_;          // by partition
  std::vector<refused> refused_;            // of the group
  std::unique_ptr<replica_driver> driver_;  // in a cluster
  replica_effects effects_;                 // of copies that are alone
  unsigned answered_ = 0;
  steady_time answer_time_{};
  steady_time active_since_{};  // when the first row entered the active generation
  steady_time busy_at_{};       // the last group commit
  steady_time trim_failed_at_{};
  bool active_empty_ = true;
  bool has_rested_ = false;    // nothing was written to the journal since
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
