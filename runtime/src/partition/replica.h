// SPDX-License-Identifier: MIT
// Replica: what one copy of a partition may do, and what it must not.
//
// The rules are those of PacificA and Vertical Paxos II: one primary an epoch orders the entries,
// an entry is committed once every copy of the in-sync set has it on its disk, and whoever holds a
// higher epoch fences off the lower ones. A copy that is alone commits what its own disk has: that
// is the same rule with a set of one.
//
// The replica is pure: it takes an input and the time, changes its state and says in `effects` what
// is to be done. It does no I/O and reads no clock. Whoever drives it writes entries and state to
// the journal and reports back with `durable`; until then nothing that depends on them is said.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"
#include "millrace/runtime/result.h"
#include "partition/copy_state.h"
#include "partition/partition_log.h"

namespace millrace::runtime {

/// What the coordination store says of a partition, as far as its copies care.
struct partition_record {
  std::uint64_t version = 0;  ///< Of the store; grows with every change of the record.
  std::uint64_t data_loss_no = 0;
  std::uint64_t epoch = 0;
  copy_id primary;
  std::vector<copy_id> in_sync;
  std::size_t in_sync_min = 1;     ///< With fewer members nothing is committed.
  std::uint64_t commit_floor = 0;  ///< A number that was committed.
};

// What copies tell each other. Each names its sender and the epoch in which it was sent.

/// Primary to backup: an entry, and how far the primary has committed.
struct prepare_message {
  copy_id from;
  std::uint64_t data_loss_no = 0;
  std::uint64_t epoch = 0;
  std::uint64_t committed = 0;
  std::string entry;  ///< Encoded.
};

/// Backup to primary: everything up to there is on its disk.
struct prepared_message {
  copy_id from;
  std::uint64_t epoch = 0;
  log_tail tail;
};

/// Backup to primary: the entry did not fit; this is what it has.
struct behind_message {
  copy_id from;
  std::uint64_t epoch = 0;
  log_tail tail;
  std::vector<lineage_step> lineage;
};

/// Backup to primary: a higher epoch was promised.
struct fenced_message {
  copy_id from;
  std::uint64_t promised_epoch = 0;
};

/// Primary to backup: it is here, and asks to be let answer reads for a while.
struct beacon_message {
  copy_id from;
  std::uint64_t data_loss_no = 0;
  std::uint64_t epoch = 0;
  std::uint64_t committed = 0;
  log_tail tail;
  steady_time sent_at{};  ///< On the primary's clock; comes back as it is.
};

/// Backup to primary: the lease. It counts from when the beacon was sent.
struct grant_message {
  copy_id from;
  std::uint64_t epoch = 0;
  steady_time beacon_sent_at{};
};

using replica_message = std::variant<prepare_message, prepared_message, behind_message,
                                     fenced_message, beacon_message, grant_message>;

/// What is to be done after an input. Those of several inputs may gather in one object, in which
/// case they are carried out together.
struct replica_effects {
  struct envelope {
    copy_id to;
    replica_message message;
  };
  /// Entries of the log that are to be sent to a backup as `prepare_message`.
  struct shipment {
    copy_id to;
    std::uint64_t first_seq = 0;
    std::uint64_t last_seq = 0;
  };

  std::vector<envelope> messages;
  std::vector<shipment> shipments;
  /// Copies that need a snapshot: the log has no longer what they lack.
  std::vector<copy_id> too_far_behind;
  /// Copies that have something else on their disks than this primary: they must not stay in sync.
  std::vector<copy_id> damaged;
  /// Positions of journal entries to delete, before the entries that follow are written.
  std::vector<std::uint64_t> erased;
  /// Encoded entries to write, in order; `place` says where each lies.
  std::vector<std::string> entries;
  bool persist = false;        ///< `state` has changed; it belongs on disk with the entries.
  bool wants_barrier = false;  ///< The new primary must `append` an empty entry now.
  bool lost_primacy = false;   ///< All in-memory state of the partition is to be thrown away.
  bool is_damaged = false;     ///< What was applied here is not what the others have: quarantine.

  void clear();
};

/// How long a lease holds, and how long one who granted it stays away from the primacy.
struct lease_times {
  duration lease = std::chrono::milliseconds{1500};
  duration guard = std::chrono::milliseconds{2000};  ///< Longer than `lease`, by the clocks' rates.
};

enum class replica_role : std::uint8_t {
  backup,      ///< Takes entries of the primary; answers nobody else.
  recovering,  ///< Primary of a new epoch whose barrier is not committed yet: answers nothing.
  primary,     ///< Orders entries, and answers.
};

/// One copy of one partition.
///
/// Threading: one thread at a time. Time: `now` is this machine's and must not go backwards.
/// Cost: O(1) an entry for a copy that is alone, O(copies) else.
class replica {
public:
  /// As found on the disk at `now`; `log` ends where the journal does.
  replica(const copy_state& state, partition_log log, lease_times times, steady_time now);

  [[nodiscard]] const copy_state& state() const noexcept { return state_; }
  [[nodiscard]] const partition_log& log() const noexcept { return log_; }
  [[nodiscard]] replica_role role() const noexcept { return role_; }
  /// As far as this copy knows.
  [[nodiscard]] const partition_record& record() const noexcept { return record_; }

  /// Everything up to this number is committed, and may be applied and answered.
  [[nodiscard]] std::uint64_t committed() const noexcept { return committed_; }

  /// Whether a read may be answered now from what is committed: nobody else can have committed
  /// anything. A copy that is alone always may.
  [[nodiscard]] bool may_answer(steady_time now) const noexcept;

  // --- inputs ----------------------------------------------------------------------------------

  /// The store's record as it was read, or as it became by a change of this copy. It leads an epoch
  /// only if it stood for it in this life: otherwise a lease may be out that it has forgotten.
  void learn(const partition_record& record, replica_effects& effects);

  /// Stands for primary, if it may: it is in sync, nothing that was committed is missing, and no
  /// lease that it granted can still hold. Gives the record to put in place of the one it knows, by
  /// compare-and-set. Until a newer record is learnt it grants nothing to anybody.
  [[nodiscard]] std::optional<partition_record> take_over(steady_time now);

  /// This copy asks the store to make `in_sync` the set. Until a record with a higher version than
  /// the one known is there, everyone in any of the sets counts.
  void change_in_flight(const std::vector<copy_id>& in_sync, replica_effects& effects);

  /// Orders an entry, which will lie at `position`, and appends its encoding to `out`.
  /// Requires: role() is not `backup`.
  void append(std::string_view ops, std::uint64_t position, std::string& out,
              replica_effects& effects);

  /// The entries above `seq` could not be written. Requires: nothing of them was sent, that is, the
  /// copy is alone.
  void withdraw_above(std::uint64_t seq);

  /// `effects.entries` lie from `position` on, in order.
  void place(std::uint64_t position, std::size_t count);

  /// Everything that effects asked for is on this copy's disk.
  /// Requires: they were taken after the last input.
  void durable(replica_effects& effects);

  /// The checkpoint has the entries up to there; `state` says so from now on.
  /// Requires: they are committed.
  void checkpointed(const log_tail& tail);

  /// The entries up to `seq` have left the journal. Requires: the checkpoint has them.
  void forget_through(std::uint64_t seq) { log_.forget_through(seq); }

  /// A message of another copy has come. Requires: no appended entry is still to be written.
  void receive(const replica_message& message, steady_time now, replica_effects& effects);

  /// Sends a beacon to every backup.
  void send_beacons(steady_time now, replica_effects& effects);

  /// Stops being primary, whatever for.
  void step_down(replica_effects& effects);

private:
  struct member {
    copy_id id;
    std::uint64_t prepared = 0;   // its disk has the entries up to here, told in this epoch
    std::uint64_t shipped = 0;    // sent to it
    steady_time granted_until{};  // of the lease
  };

  void on(const prepare_message& message, steady_time now, replica_effects& effects);
  void on(const prepared_message& message, steady_time now, replica_effects& effects);
  void on(const behind_message& message, steady_time now, replica_effects& effects);
  void on(const fenced_message& message, steady_time now, replica_effects& effects);
  void on(const beacon_message& message, steady_time now, replica_effects& effects);
  void on(const grant_message& message, steady_time now, replica_effects& effects);

  // Whether a message of a primary counts; promises its epoch, or fences it.
  bool heed(const copy_id& from, std::uint64_t data_loss_no, std::uint64_t epoch,
            replica_effects& effects);
  // Whether the entry is in the log now.
  bool take(const journal_entry& entry, const std::string& encoded, replica_effects& effects);
  // False when that would undo what is committed.
  bool cut_from(std::uint64_t seq, replica_effects& effects);
  void tell_what_is_here(replica_effects& effects);
  void acknowledge(replica_effects& effects);
  void learn_committed() noexcept;
  void lead(replica_effects& effects);
  void find_others(replica_effects& effects);
  void advance() noexcept;
  void ship(member& to, replica_effects& effects);
  [[nodiscard]] bool leads() const noexcept { return role_ != replica_role::backup; }
  [[nodiscard]] member* find(const copy_id& id) noexcept;
  // Who sent a message of that epoch, if this copy leads it and the other is in the set.
  [[nodiscard]] member* find(const copy_id& id, std::uint64_t epoch) noexcept;
  // From now on it is a backup of that primary; nothing of its log is known to be the same.
  void follow(const copy_id& primary) noexcept;

  copy_state state_;
  partition_log log_;
  lease_times times_;
  replica_role role_ = replica_role::backup;
  std::uint64_t committed_;
  std::uint64_t promise_found_;    // on the disk, when this life began
  std::uint64_t durable_;          // of the own disk
  std::uint64_t durable_promise_;  // the same

  // As primary.
  partition_record record_;
  std::vector<copy_id> wanted_in_sync_;  // of changes in flight
  std::vector<member> others_;           // of the maximal set
  std::uint64_t barrier_ = 0;            // of this epoch; 0: not appended, or not needed

  // As backup.
  copy_id primary_;                      // who has sent in the promised epoch
  std::uint64_t primary_committed_ = 0;  // as it said in this epoch
  std::uint64_t matched_;                // the entries up to here are the primary's, too
  std::uint64_t acknowledged_ = 0;
  bool has_told_behind_ = false;    // since the last beacon, or the last entry that fitted
  std::uint64_t stands_for_ = 0;    // the epoch of `take_over`, until its outcome is known
  steady_time guarded_until_{};     // until then a lease may hold that this life granted
  steady_time life_guarded_until_;  // the same of earlier lives
};

/// Makes a copy that has no others primary of a new epoch, without a store: whoever holds a
/// partition alone takes over when it starts, and nobody is asked. Requires: it has learnt nothing.
void take_over_alone(replica& copy, steady_time now);

}  // namespace millrace::runtime
