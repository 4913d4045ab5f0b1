// SPDX-License-Identifier: MIT
// Replica: what one copy of a partition may do, and what it must not.
//
// The rules are those of PacificA and Vertical Paxos II: one primary an epoch orders the entries,
// an entry is committed once every copy of the in-sync set has it on its disk, and whoever holds a
// higher epoch fences off the lower ones. The coordination store decides who is in the set and who
// is primary, by compare-and-set of one record. A copy that is alone commits what its own disk has:
// that is the same rule with a set of one.
//
// The replica is pure: it takes an input and the time, changes its state and says in `effects` what
// is to be done. It does no I/O and reads no clock. Whoever drives it writes entries and state to
// the journal and reports back with `durable`; until then nothing that depends on them is said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "partition/in_sync_set.h"
#include "partition/lease_book.h"
#include "partition/peer_book.h"
#include "partition/replica_effects.h"
#include "partition/snapshot_intake.h"

namespace millrace::runtime {

enum class replica_role : std::uint8_t {
  backup,       ///< Takes entries of the primary, or learns what it lacks; answers nobody else.
  recovering,   ///< Primary of a new epoch whose barrier is not committed yet: answers nothing.
  primary,      ///< Orders entries, and answers.
  quarantined,  ///< Its content is not to be trusted. To the end: another copy takes its place.
};

/// One copy of one partition.
///
/// Threading: one thread at a time. Time: `now` is this machine's and must not go backwards.
/// Cost: O(1) an entry for a copy that is alone, O(copies) else.
class replica {
public:
  /// As found on the disk at `now`; `log` ends where the journal does.
  replica(const copy_state& state, partition_log log, replica_settings settings, steady_time now);

  [[nodiscard]] const copy_state& state() const noexcept { return state_; }
  [[nodiscard]] const partition_log& log() const noexcept { return log_; }
  [[nodiscard]] replica_role role() const noexcept { return role_; }
  /// As far as this copy knows.
  [[nodiscard]] const partition_record& record() const noexcept { return set_.record(); }
  /// What it knows of the others, as primary.
  [[nodiscard]] const peer_book& peers() const noexcept { return peers_; }

  /// Everything up to this number is committed, and may be applied and answered.
  [[nodiscard]] std::uint64_t committed() const noexcept { return committed_; }

  /// Whether a read that arrived then may be answered now from what is committed: nobody else can
  /// have committed anything before it arrived. A copy that is alone always may.
  [[nodiscard]] bool may_answer(steady_time arrived, steady_time now) const noexcept;
  /// As long as nothing else is told, whatever arrives before that instant may be answered: by the
  /// leases that it has. Long past for who is not primary, never for who is alone.
  [[nodiscard]] steady_time answers_until() const noexcept;
  /// Ranges of a snapshot are missing: its rows are neither old nor new.
  [[nodiscard]] bool is_being_filled() const noexcept { return intake_.is_open(); }
  /// Of a backup: who leads, as it has heard from that copy itself in the epoch that it has
  /// promised; nobody's id as long as it has heard nothing.
  [[nodiscard]] const placed_copy& followed() const noexcept { return primary_; }
  /// Why it is not used. It is silent then, and what it has is there until another one leads.
  [[nodiscard]] const std::optional<damage>& set_aside() const noexcept { return set_aside_; }
  /// Nobody else has to have what it writes, or gets it.
  [[nodiscard]] bool is_alone() const noexcept { return leads() && peers_.empty(); }
  /// Whether entries are ordered here now, and can be committed: there are enough copies.
  [[nodiscard]] bool may_append() const noexcept;
  /// The checkpoint has the entries up to there, and nobody who catches up needs them.
  [[nodiscard]] std::uint64_t forgettable() const noexcept;

  // --- the store, time, other silos ------------------------------------------------------------

  /// The store's record as it was read, or as it became by a change of this copy. The first one of
  /// a life was read after that began: by an older one it might follow who is deposed, or seem to
  /// lack what it was told to give away. Later ones may be late. It leads an epoch only if it stood
  /// for it in this life: otherwise a lease may be out that it has forgotten.
  void learn(const partition_record& record, steady_time now, replica_effects& effects);

  /// Time has passed. To be called a few times in each `beacon_interval`.
  void tick(steady_time now, replica_effects& effects);

  /// Stands for primary, if it may: it is complete, nothing that was committed is missing, and no
  /// lease that it granted can still hold. Gives the change of the record that would make it
  /// primary. Until a newer record is learnt it grants nothing to anybody.
  [[nodiscard]] std::optional<partition_record> stand(steady_time now);

  /// Stands for primary although it may lack what was committed; an operator has decided so.
  void break_glass(steady_time now, replica_effects& effects);

  /// A process of that copy, which the record of that epoch names primary, is proven to be dead.
  /// It cuts the wait short only if one of them is known to have led it.
  void primary_died(const copy_id& primary, std::uint64_t epoch, steady_time now,
                    replica_effects& effects);

  /// By the membership, the silo is dead: its copy is not waited for.
  void silo_died(const std::string& silo);

  /// Lets that copy lead instead, once everything appended is committed. Requires: it is primary.
  void hand_over(const copy_id& to, steady_time now, replica_effects& effects);

  /// Leads no more, at once, and lets whoever can lead. What is not committed is in doubt.
  void abdicate(steady_time now, replica_effects& effects);

  /// As primary: that member is to leave the set. Until another one has joined, for which there is
  /// room meanwhile, it stays: the set never has fewer members for it. Nothing: nobody is to.
  void let_go(const std::optional<copy_id>& member) noexcept { let_go_ = member; }

  /// A message of another copy has come. Requires: no appended entry is still to be written.
  void receive(const replica_message& message, steady_time now, replica_effects& effects);

  /// Asks all others at once to let it answer what has arrived.
  void send_beacons(steady_time now, replica_effects& effects);

  // --- the disk --------------------------------------------------------------------------------

  /// Orders an entry, which will lie at `position`, and appends its encoding to `out`.
  /// Requires: role() is `recovering` or `primary`.
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

  /// Nothing of what effects asked for could be written: the disk is full. What was to be erased or
  /// cleared still is; the rest is forgotten.
  void write_failed(steady_time now, replica_effects& effects);

  /// The checkpoint has the entries up to there; `state` says so from now on.
  /// Requires: they are committed.
  void checkpointed(const log_tail& tail);

  /// The entries up to `seq` have left the journal. Requires: the checkpoint has them.
  void forget_through(std::uint64_t seq) { log_.forget_through(seq); }

  /// The rows from `wanted.first` on, with everything applied up to `applied` and nothing else.
  void send_range(const replica_effects::range_read& wanted, std::string rows, std::string next,
                  std::uint64_t applied, replica_effects& effects);

  /// The digest of all rows when `seq` was the last entry in them. Requires: of a backup, that its
  /// checkpoint has come at least as far; one that is made of ranges alone is of no moment.
  void digested(std::uint64_t seq, std::uint64_t digest, replica_effects& effects);

  /// Stops being primary, whatever for.
  void step_down(replica_effects& effects);

private:
  [[nodiscard]] bool leads() const noexcept {
    return role_ == replica_role::recovering || role_ == replica_role::primary;
  }
  [[nodiscard]] bool is_complete() const { return runtime::is_complete(record(), self_); }
  void quarantine(damage why, replica_effects& effects);
  void lead(steady_time now, replica_effects& effects);
  void stand_if_due(steady_time now, replica_effects& effects);
  [[nodiscard]] std::uint64_t next_nonce() noexcept { return settings_.life + ++nonces_; }

  // As primary: replica_leading.cc.
  void on(const prepared_message& message, steady_time now, replica_effects& effects);
  void on(const behind_message& message, steady_time now, replica_effects& effects);
  void on(const fenced_message& message, steady_time now, replica_effects& effects);
  void on(const grant_message& message, steady_time now, replica_effects& effects);
  void on(const refused_message& message, steady_time now, replica_effects& effects);
  void on(const fetch_message& message, steady_time now, replica_effects& effects);
  void on(const compared_message& message, steady_time now, replica_effects& effects);
  // Who sent a message of that epoch, if this copy leads it and knows the other.
  [[nodiscard]] peer* hear(const placed_copy& from, std::uint64_t epoch, steady_time now);
  void find_others(steady_time now, replica_effects& effects);
  void advance() noexcept;
  void ship(peer& to, replica_effects& effects);
  void send_beacon(const placed_copy& to, steady_time now, replica_effects& effects) const;
  void release(const copy_id& successor, steady_time now, replica_effects& effects);

  // The in-sync set: replica_set.cc.
  void tick_leading(steady_time now, replica_effects& effects);
  [[nodiscard]] bool has_to_abdicate(steady_time now);
  void help_learners(steady_time now, replica_effects& effects);
  [[nodiscard]] bool keeps_too_much(const peer& one) const;
  void compare(peer* next, steady_time now, replica_effects& effects);
  [[nodiscard]] peer* compared() noexcept;
  void judge() noexcept;
  void propose(steady_time now, replica_effects& effects);
  void ask(partition_record wanted, steady_time now, replica_effects& effects);
  [[nodiscard]] partition_record wanted_record(steady_time now) const;
  [[nodiscard]] std::optional<placed_copy> member_to_let_go() const;
  [[nodiscard]] std::size_t members_max() const;
  void note_ejected(const partition_record& before, steady_time now);

  // As backup: replica_following.cc.
  void on(const prepare_message& message, steady_time now, replica_effects& effects);
  void on(const beacon_message& message, steady_time now, replica_effects& effects);
  void on(const release_message& message, steady_time now, replica_effects& effects);
  void on(const snapshot_message& message, steady_time now, replica_effects& effects);
  void on(const range_message& message, steady_time now, replica_effects& effects);
  void on(const compare_message& message, steady_time now, replica_effects& effects);
  void on(const discard_message& message, steady_time now, replica_effects& effects);
  void tick_following(steady_time now, replica_effects& effects);
  // Whether a message of a primary counts; promises its epoch, or fences it.
  bool heed(const placed_copy& from, std::uint64_t epoch, replica_effects& effects);
  // Whether it is of the primary that this copy follows.
  [[nodiscard]] bool is_followed(const placed_copy& from, std::uint64_t epoch) const noexcept;
  // Whether the entry is in the log now.
  bool take(const journal_entry& entry, const std::string& encoded, replica_effects& effects);
  // False when that would undo what is committed.
  bool cut_from(std::uint64_t seq, replica_effects& effects);
  void drop_entries_from(std::uint64_t seq, replica_effects& effects);
  void tell_what_is_here(const placed_copy& to, replica_effects& effects) const;
  void tell_what_is_here_once(replica_effects& effects);
  void fetch(replica_effects& effects) const;
  void acknowledge(replica_effects& effects);
  void learn_committed() noexcept;
  // From now on it is a backup of that primary; nothing of its log is known to be the same.
  void follow(const placed_copy& primary, replica_effects& effects);

  copy_state state_;
  partition_log log_;
  replica_settings settings_;
  placed_copy self_;
  replica_role role_ = replica_role::backup;
  std::uint64_t committed_;
  std::uint64_t epoch_found_;      // of the last entry, when this life began
  std::uint64_t durable_;          // of the own disk
  std::uint64_t durable_promise_;  // the same
  in_sync_set set_;
  lease_book leases_;
  std::uint64_t nonces_ = 0;
  std::optional<partition_record> standing_;  // asked for, until its outcome is known
  steady_time asked_at_{};                    // of the store, for a change or the record
  steady_time learnt_at_{};                   // the record, or it was asked for
  steady_time ticked_at_{};

  // As primary.
  peer_book peers_;
  flap_book flaps_;
  std::uint64_t barrier_ = 0;  // of this epoch; 0: not appended, or not needed
  steady_time beacons_due_{};
  steady_time floor_at_{};                    // when the record's was changed last
  std::optional<steady_time> blocked_since_;  // a member does not answer, and is in the set still
  std::optional<steady_time> short_since_;    // of copies
  std::optional<copy_id> successor_;
  std::optional<copy_id> let_go_;
  // Both digests are of the same rows when both copies have applied the same entries. One at a
  // time: it may take two checkpoints of this silo.
  struct comparison {
    std::uint64_t number = 0;
    std::uint64_t seq = 0;  // the last entry in the rows
    steady_time began{};
    steady_time asked{};  // the last time
    std::optional<std::uint64_t> own{};
    std::optional<std::uint64_t> other{};
  };
  std::uint64_t comparisons_ = 0;
  comparison comparison_;  // the latest

  // As backup.
  placed_copy primary_;                  // who has sent in the promised epoch
  std::uint64_t primary_committed_ = 0;  // as it said in this epoch
  std::uint64_t matched_;                // the entries up to here are the primary's, too
  std::uint64_t acknowledged_ = 0;
  std::optional<damage> set_aside_;
  bool has_told_behind_ = false;  // since the last beacon, or the last entry that fitted
  steady_time heard_at_{};        // of a primary
  snapshot_intake intake_;
  std::uint64_t rows_reach_ = 0;   // the rows of a snapshot hold changes up to here
  bool intake_unwritten_ = false;  // a range was taken since `durable`
  steady_time fetched_at_{};
  std::optional<compare_message> digest_wanted_;
};

/// Makes a copy that has no others primary of a new epoch, without a store: whoever holds a
/// partition alone takes over when it starts, and nobody is asked. Requires: it has learnt nothing.
void take_over_alone(replica& copy, steady_time now);

}  // namespace millrace::runtime
