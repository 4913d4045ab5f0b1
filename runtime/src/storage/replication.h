// SPDX-License-Identifier: MIT
// Replication: what the copies of a silo's storage and the cluster around them tell each other.
//
// A storage that is alone leads all of its partitions. One that has joined a cluster follows the
// records of the coordination store: its journal thread feeds each copy (`replica`) with what other
// silos and the store say, and hands on what the copy wants said. This header is the seam: storage
// knows nothing of links, stores and membership, the cluster nothing of journals.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/ids.h"
#include "partition/partition_record.h"
#include "partition/replica.h"
#include "partition/replica_effects.h"
#include "storage/cluster_mark.h"

namespace millrace::runtime {

/// What a silo may do with a partition now, for everybody to read without a lock.
///
/// Written by the journal thread. Whoever was let in under an epoch is out for good once another
/// one is here: epochs only grow.
class partition_lease {
public:
  /// The epoch in which this silo leads it and serves its actors; 0: it does not.
  [[nodiscard]] std::uint64_t epoch() const noexcept {
    return epoch_.load(std::memory_order_acquire);
  }
  /// Whether an answer that depends on no commit may leave at `now` who was let in under `epoch`:
  /// nobody else can have committed anything that it does not know.
  [[nodiscard]] bool allows(std::uint64_t epoch, steady_time now) const noexcept {
    const auto until = until_.load(std::memory_order_acquire);  // before the epoch
    return now.time_since_epoch().count() < until && this->epoch() == epoch;
  }

  /// For the journal thread. An end at `steady_time::max()` is no end.
  void set(std::uint64_t epoch, steady_time until) noexcept {
    if (epoch != epoch_.load(std::memory_order_relaxed)) {
      until_.store(0, std::memory_order_release);
      epoch_.store(epoch, std::memory_order_release);
    }
    until_.store(until.time_since_epoch().count(), std::memory_order_release);
  }

private:
  std::atomic<std::uint64_t> epoch_{0};
  std::atomic<steady_time::rep> until_{0};
};

/// What may be sent behind other things.
enum class replica_lane : std::uint8_t {
  system,  ///< Entries, acknowledgements, leases.
  bulk,    ///< Rows of snapshots.
};

/// Whether writes wait for a change of a record: as of the set, by a copy that does not answer.
enum class writes_wait : bool { no, yes };

/// What the copies of a storage ask of the cluster.
///
/// Threading: called on the journal thread; must not block, and must not call storage back.
class replication_host {
public:
  replication_host() = default;
  replication_host(const replication_host&) = delete;
  replication_host& operator=(const replication_host&) = delete;
  virtual ~replication_host() = default;

  /// Sends a frame (`replica_frame.h`) to the storage of a silo; it may get lost.
  virtual void send(const std::string& silo, replica_lane lane, const std::string& frame) = 0;
  /// Puts `wanted` in place of the record of version `wanted.version`, once; then tells what the
  /// record is (`replication::learn`), unless the outcome is not known.
  virtual void change(partition_id partition, const partition_record& wanted,
                      writes_wait waits) = 0;
  /// Tells what the record is, by a linearizable read.
  virtual void read(partition_id partition) = 0;
  /// This silo leads the partition from now on; all that is committed is in its rows.
  virtual void leads(partition_id partition, std::uint64_t epoch) = 0;
  /// It does not any more. What was let in under an epoch answers nothing from now on.
  virtual void lost(partition_id partition) = 0;
  /// Another silo leads it in that epoch, or is about to, as it says itself. Told once an epoch.
  virtual void follows(partition_id partition, std::uint64_t epoch, const std::string& silo) = 0;
  /// What another silo says of its copies cannot be read, and is dropped: it is of a later
  /// protocol, or wrong. Told once a minute of each silo.
  virtual void cannot_read(const std::string& silo, const error& why) = 0;
  /// There have been too few copies for long.
  virtual void wants_copy(partition_id partition) = 0;
  /// Rows of the copy here are damaged, so that no other can be made of it. Told once.
  virtual void cannot_copy(partition_id partition, const error& why) = 0;
  /// A copy lacks what was committed, or was given up, and is silent. What it has stays until
  /// another one leads the partition without it; if none can, an operator may break glass.
  virtual void set_aside(partition_id partition, const copy_id& copy, damage why) = 0;
  /// A copy's content is not to be trusted; an empty one takes its place.
  virtual void quarantined(partition_id partition, const copy_id& copy, damage why) = 0;
};

/// How one copy stands.
struct copy_status {
  partition_record record;  ///< As it knows it.
  copy_id id;
  replica_role role = replica_role::backup;
  std::uint64_t committed = 0;
  std::uint64_t tail = 0;
  bool is_hosted = false;  ///< It should be here.
  bool is_filled = true;   ///< False: its rows are being replaced.
  bool is_aside = false;   ///< It is not used, whatever the record says of it.
  /// As primary: what the slowest other copy lacks, and for how long it has, as far as that is
  /// known.
  std::uint64_t lag_entries = 0;
  duration lag{};
  std::uint64_t rejoins_by_tail = 0;  ///< In this life, into the in-sync set.
  std::uint64_t rejoins_by_snapshot = 0;
};

/// Who a storage is in its cluster.
struct replication_settings {
  std::string silo;               ///< Its name.
  std::uint64_t incarnation = 0;  ///< Given by the store when it joined; below 2^40.
  std::size_t copies = 3;         ///< As many as there should be of a partition.
  /// How long one may be missing before another silo is to make one.
  duration replace_after = std::chrono::minutes{5};
};

/// The storage's side.
///
/// Threading: any thread; the inputs are queued for the journal thread, in order.
class replication {
public:
  replication() = default;
  replication(const replication&) = delete;
  replication& operator=(const replication&) = delete;
  virtual ~replication() = default;

  /// Which cluster the rows belong to; nothing: to none yet.
  [[nodiscard]] virtual const std::optional<cluster_mark>& mark() const noexcept = 0;
  /// Makes them belong to that one; on the disk when this returns. Requires: before `join`.
  /// Errors: `out_of_space`, `permission_denied`, `storage_failed`.
  [[nodiscard]] virtual result<void> set_mark(const cluster_mark& mark) = 0;
  /// The file that says so, or would.
  [[nodiscard]] virtual std::string mark_file() const = 0;
  /// Whether there was anything of any partition when storage was opened.
  [[nodiscard]] virtual bool found_data() const noexcept = 0;

  /// From now on the copies follow the records of a store. `host` outlives the storage.
  /// Requires: storage was opened for a cluster (`storage_options::in_cluster`); it leads nothing
  /// until it has joined. Time: waits for the journal thread.
  virtual void join(replication_host& host, const replication_settings& settings) = 0;

  /// Whether this silo should have a copy of the partition. A copy that it should not have, and
  /// that no record lists, keeps silent.
  virtual void host(partition_id partition, bool wanted) = 0;

  /// A frame of the storage of another silo has come. What cannot be read is dropped, and told.
  virtual void receive(const std::string& silo, std::string frame) = 0;
  /// The session with a silo is over: what was sent to it may not have arrived.
  virtual void session_ended(const std::string& silo) = 0;
  /// The record as it is, or was.
  virtual void learn(partition_id partition, partition_record record) = 0;
  /// There is no record yet, and this silo's copy is to be the first: asks for the change.
  virtual void found(partition_id partition) = 0;
  /// That life of a silo is over. Proven (`ensure_dead`): nobody waits for leases that it was
  /// granted. Not proven: its copies are not waited for; to be told only while no later life of it
  /// is known. `incarnation` as in the silo's row.
  virtual void silo_died(const std::string& silo, std::uint64_t incarnation, bool is_proven) = 0;
  /// Lets the copy of another silo lead, if it is in the set, once everything is committed.
  virtual void hand_over(partition_id partition, const std::string& to) = 0;
  /// Leads it no more, at once, if it has too few copies to be written: what is not committed has
  /// an unknown outcome.
  virtual void abdicate(partition_id partition) = 0;
  /// The copy of that silo is to leave the set once another one has joined; empty: none is.
  virtual void move_off(partition_id partition, const std::string& silo) = 0;
  /// An operator's decision: this silo's copy leads although it may lack what was committed.
  virtual void break_glass(partition_id partition) = 0;
  /// This silo is out, and never in again: its copies lead nothing, ask for nothing and answer
  /// nobody from now on.
  virtual void leave() = 0;

  /// Ownership: as long as the storage.
  [[nodiscard]] virtual const partition_lease& lease(partition_id partition) const noexcept = 0;
  /// Of all partitions, as of a moment ago. Time: waits for the journal thread.
  [[nodiscard]] virtual std::vector<copy_status> copies() = 0;

  /// For a clock that a test moves: it looks at it now.
  virtual void time_changed() {}
  /// Nothing while there is something to do that waits for no time and for nobody else. The same
  /// number twice: nothing was done between.
  [[nodiscard]] virtual std::optional<std::uint64_t> rounds_if_idle() { return 0; }
};

}  // namespace millrace::runtime
