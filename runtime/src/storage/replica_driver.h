// SPDX-License-Identifier: MIT
// Replica driver: what the journal thread does for the copies of a storage that is in a cluster.
//
// It feeds each copy with what others say, with the time and with what has become durable, and
// carries out what the copy wants: frames to other silos, questions to the store, entries and rows
// on the disk. What the copy says is committed, the journal writer applies. One group of the
// journal is: inputs (each carried out at once, but for the disk), `stage`, the silo's own commits,
// the flush, `durable`. So a copy never gets a message while an entry of its own is unwritten.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/runtime/storage.h"
#include "storage/catch_up_queue.h"
#include "storage/group_appender.h"
#include "storage/overlay.h"
#include "storage/replica_frame.h"
#include "storage/replica_table.h"
#include "storage/replication.h"
#include "storage/row_prover.h"
#include "storage/unapplied_entries.h"

namespace millrace::runtime {

/// What a driver asks of the journal writer.
class driven_journal {
public:
  driven_journal() = default;
  driven_journal(const driven_journal&) = delete;
  driven_journal& operator=(const driven_journal&) = delete;
  virtual ~driven_journal() = default;

  /// Applies and answers what is committed of the partition.
  virtual void advance(partition_id partition) = 0;
  /// This silo leads it no more: whoever waits for a commit of it learns that nobody knows.
  virtual void outcome_unknown(partition_id partition) = 0;
  /// The overlay has got a change.
  virtual void changed_overlay() = 0;
  /// Whether no checkpoint is being written, and what the last one has reached is noted.
  virtual bool checkpoint_is_idle() = 0;
  /// Begins a checkpoint of everything that is applied. The digests of the rows of `partitions`
  /// come by `replica_driver::digested` once it is written, each with the number that was applied.
  /// Requires: none is being written.
  virtual void checkpoint_now(std::vector<partition_id> partitions) = 0;
};

/// The parts it works on. Ownership: they outlive it.
struct replica_driver_parts {
  journal& entries;
  replica_table& copies;
  overlay& recent;
  checkpoint& rows;
  row_prover& proof;
  group_appender& group;
  std::vector<partition_lease>& leases;  ///< By partition.
  driven_journal& writer;
};

/// Threading: the journal thread. What goes wrong with the disk, but a full one, ends the process.
class replica_driver {
public:
  replica_driver(const replica_driver_parts& parts, replication_host& host,
                 const replication_settings& settings, steady_time now);
  replica_driver(const replica_driver&) = delete;
  replica_driver& operator=(const replica_driver&) = delete;
  ~replica_driver();

  // Inputs: see `replication`. Each is carried out before it returns, but for the disk.
  void host(partition_id partition, bool wanted);
  void receive(const std::string& silo, std::string_view frame, steady_time now);
  void session_ended(const std::string& silo);
  void learn(partition_id partition, const partition_record& record, steady_time now);
  void found(partition_id partition);
  void silo_died(const std::string& silo, std::uint64_t incarnation, bool is_proven,
                 steady_time now);
  void hand_over(partition_id partition, const std::string& to, steady_time now);
  void abdicate(partition_id partition, steady_time now);
  void move_off(partition_id partition, const std::string& silo);
  void break_glass(partition_id partition, steady_time now);
  void leave();
  [[nodiscard]] std::vector<copy_status> status(steady_time now);

  /// Lets time pass, if it is due.
  void tick(steady_time now);
  [[nodiscard]] steady_time tick_due() const noexcept { return tick_due_; }
  /// Copies that are behind are sent as much as may be on its way to them. Requires: nothing that
  /// was appended is unwritten.
  void catch_up(steady_time now);
  /// What was gathered for other silos leaves.
  void send();

  /// Something has to be written for the copies, and may be tried.
  [[nodiscard]] bool has_disk_work(steady_time now) const noexcept {
    return (!unstaged_.empty() && now >= blocked_until_) || rows_may_come(now);
  }
  /// Nothing can be written for a while: what others send to be written is not taken, either.
  void block(steady_time until) noexcept { blocked_until_ = until; }
  /// Puts what the copies want written into the group, and the barriers of new primaries. Rows of
  /// snapshots are on the disk when it returns.
  void stage(steady_time now);
  /// The group holds something of the copies.
  [[nodiscard]] bool has_group() const noexcept { return !in_group_.empty(); }
  /// The state of a partition's copy goes along with the group.
  void put_state(partition_id partition);
  /// Why a commit cannot be taken, if so.
  [[nodiscard]] result<void> admit(const commit_request& request) const;
  /// Where the copy's effects of appending go; `appended` carries them out.
  [[nodiscard]] replica_effects& effects_of(partition_id partition) {
    return at(partition).effects;
  }
  void appended(partition_id partition);
  /// The group is on the disk. / It is not, for want of room.
  void durable();
  void write_failed(steady_time now);

  /// Applies an entry that was not asked for here to the overlay. Requires: it is committed.
  void apply(partition_id partition, std::uint64_t seq);
  /// Whether the digest of the rows is wanted as they are now, before the next is applied: that has
  /// to wait for `take_digests`.
  [[nodiscard]] bool waits_for_digest(partition_id partition);
  [[nodiscard]] bool has_digests_due() const noexcept { return !digests_due_.empty(); }
  /// Begins a checkpoint for the digests that are due, or gives them up where it `can` not be.
  /// Requires: none is being written.
  void take_digests(bool can);
  void digested(partition_id partition, std::uint64_t seq, std::uint64_t digest);

private:
  // A full disk is tried again after so long.
  static constexpr duration blocked_for = std::chrono::milliseconds{100};

  struct copy_work {
    replica_effects effects;
    bool is_hosted = false;
    bool is_unstaged = false;    // its effects hold something for the disk
    bool is_in_group = false;    // `durable`, or `write_failed`, is to be told
    bool wants_barrier = false;  // to be appended
    bool is_void = false;        // its rows are neither old nor new: on the disk it says so
    bool lacks_copies = false;   // was told
    bool cannot_copy = false;    // was told
    bool was_replaced = false;   // its rows, since it left the in-sync set
    std::uint64_t rejoins_by_tail = 0;
    std::uint64_t rejoins_by_snapshot = 0;
    std::uint64_t served = 0;    // the epoch that the host knows of
    std::uint64_t followed = 0;  // likewise, of another's
    unapplied_entries unapplied;
    std::optional<std::uint64_t> digest_at;
  };

  [[nodiscard]] copy_work& at(partition_id partition) {
    return work_[static_cast<std::size_t>(partition)];
  }
  [[nodiscard]] const copy_work& at(partition_id partition) const {
    return work_[static_cast<std::size_t>(partition)];
  }
  [[nodiscard]] replica& copy_of(partition_id partition) { return parts_.copies.at(partition); }
  [[nodiscard]] placed_copy self(partition_id partition);
  [[nodiscard]] bool exists(partition_id partition) const noexcept;
  [[nodiscard]] bool takes_part(partition_id partition);
  void tell_unread(const std::string& silo, const error& why, steady_time now);

  void settle(partition_id partition);
  void carry_out(partition_id partition);
  void publish(partition_id partition);
  void tell_followed(partition_id partition);
  void show_lease(partition_id partition);
  void tell_shortage(partition_id partition);
  void lose(partition_id partition);
  void unstage(partition_id partition);
  void replace(partition_id partition, damage why, steady_time now);

  // Whether the digest of the rows is wanted as they are now.
  [[nodiscard]] bool digest_is_due(partition_id partition) const;

  // Messages: replica_sending.cc.
  void queue(partition_id partition, const placed_copy& to, replica_message message);
  void ship(partition_id partition, const replica_effects::shipment& what);
  void note_progress(partition_id partition, const replica_message& message);
  // Null if this silo does not lead the partition, or knows no such copy.
  [[nodiscard]] const peer* peer_at(partition_id partition, const placed_copy& copy);
  // In the lane of its own, if nobody waits for the copy.
  [[nodiscard]] replica_lane lane_of(partition_id partition, const placed_copy& copy);
  void forget(const catch_up_queue::place& whom);
  [[nodiscard]] catch_up_queue& queue_of(const std::string& silo, replica_lane lane);
  void take_turn(catch_up_queue& of, const catch_up_queue::turn& turn, replica_lane lane);
  struct sent_entries {
    std::uint64_t last_seq = 0;
    std::size_t bytes = 0;
  };
  // As many as `bytes_max` has room for, but one at least; none if they were trimmed.
  sent_entries send_entries(partition_id partition, const replica_effects::shipment& what,
                            replica_lane lane, std::size_t bytes_max);

  // Snapshots: replica_rows.cc.
  void send_range(catch_up_queue& of, const catch_up_queue::turn& turn);
  void cannot_copy(partition_id partition, const error& why);
  [[nodiscard]] std::vector<partition_id> take_rows(steady_time now);
  [[nodiscard]] bool rows_may_come(steady_time now) const;
  // What the disk has taken: all that was wanted, or some of the old rows are there still.
  enum class rows_written : std::uint8_t { all, some, failed };
  [[nodiscard]] bool mark_void();
  [[nodiscard]] rows_written write_rows(partition_id partition);
  void refill(partition_id partition, steady_time now);

  // The disk: replica_disk.cc.
  void stage_entries(partition_id partition);
  void join_group(partition_id partition);
  void append_barrier(partition_id partition);
  void erase_cut(partition_id partition);

  replica_driver_parts parts_;
  replication_host& host_;
  replica_settings settings_;
  std::vector<copy_work> work_;  // by partition
  std::vector<partition_id> unstaged_;
  std::deque<partition_id> rows_waiting_;  // to be written, for their partitions
  std::vector<partition_id> in_group_;
  std::vector<partition_id> digests_due_;
  std::map<std::string, std::vector<replica_item>, std::less<>> outbox_;
  std::map<std::string, std::vector<replica_item>, std::less<>> bulk_;
  // What waits to be sent to copies that are behind: by silo, and for each lane.
  std::map<std::string, std::array<catch_up_queue, 2>, std::less<>> catch_up_;
  std::map<std::string, steady_time, std::less<>> unread_told_at_;  // by silo
  std::unique_ptr<checkpoint_snapshot> snapshot_;
  std::uint32_t foundings_ = 0;
  bool has_left_ = false;
  steady_time tick_due_{};
  steady_time blocked_until_{};
  steady_time now_{};  // of the last input
};

}  // namespace millrace::runtime
