// SPDX-License-Identifier: MIT
// Coordination store: the small, strongly consistent memory that the silos of a cluster share.
//
// It holds who is in (a row for each silo, for as long as its session is kept alive) and who holds
// what (a record for each partition, changed by compare-and-set of that one key and in no other
// way), and what was fixed when the cluster was made. Two providers do the same: `open_local_store`
// for the silos of one machine, `open_etcd_store` for many machines.
//
// Everything is linearizable: what a call returns was so at an instant between its begin and its
// end. A store that cannot be reached delays changes of the cluster and nothing else; above all, a
// session that is kept alive proves nothing about who may write or answer (replication.md, R1).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "coordination/records.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// What a reader of the store sees at one instant.
struct coordination_view {
  std::uint64_t revision = 0;                ///< Grows with every change of the store.
  std::vector<silo_row> silos;               ///< All that are in, by name.
  std::vector<stored_partition> partitions;  ///< Those that have changed, by number.
};

/// The record was put in place.
struct cas_done {
  std::uint64_t version = 0;  ///< The record's, from now on.
};
/// The record in place has another version than was expected, and nothing was done.
struct cas_conflict {
  std::optional<stored_partition> found;
};
/// It may have been put in place, and it still may be, later: see `fate_of`.
struct cas_unknown {
  error why;
};
using cas_outcome = std::variant<cas_done, cas_conflict, cas_unknown>;

/// What is known of a compare-and-set after the record was read again.
enum class cas_fate : std::uint8_t {
  unknown,    ///< Nothing has changed. It may still happen: whoever counts on either is wrong.
  succeeded,  ///< Its record is in place.
  lost,       ///< Another is in place, and stays. If it ever happened, that one replaced it.
};

/// Decides the fate of a compare-and-set that was to put `wanted` (whose version is the one that it
/// expected) from a record that was read after it was sent.
[[nodiscard]] cas_fate fate_of(const stored_partition& wanted,
                               const std::optional<stored_partition>& found);

/// What both providers need.
struct coordination_options {
  /// How long a silo that is not heard of stays in. Requires: at least 2 s with etcd.
  duration session_ttl = std::chrono::seconds{5};
  /// A hint that something may have changed: read again. Several changes may be one hint, and a
  /// hint may be for nothing; one comes at least every `hint_interval_max`, so that a lost one
  /// costs no more. Called on threads of the store: it must return soon, and must not call it.
  std::function<void()> changed = [] {};
  /// The newest version of records that is known, and that of a cluster that is made here. Another
  /// one only in tests.
  std::uint32_t protocol = coordination_protocol;
  /// What an operator should know; one line.
  std::function<void(std::string_view)> warn = [](std::string_view) {};
};

inline constexpr duration hint_interval_max = std::chrono::seconds{30};

/// One silo's access to the store of its cluster.
///
/// Errors (of all calls): `unavailable` when the store cannot be reached and nothing was done,
/// `deadline_exceeded`, `outcome_unknown` when something may have been done; `failed_precondition`
/// for records of a newer protocol; `storage_failed` for damaged ones.
/// Threading: any thread; calls of several threads run beside each other. They block, at most until
/// their deadline.
class coordination_store {
public:
  coordination_store() = default;
  coordination_store(const coordination_store&) = delete;
  coordination_store& operator=(const coordination_store&) = delete;
  /// Ends the threads. The silo's row stays until its session has run out: `leave` first.
  virtual ~coordination_store() = default;

  /// The cluster's settings; nothing before anybody has made them.
  [[nodiscard]] virtual result<std::optional<cluster_settings>> settings(steady_time deadline) = 0;

  /// Makes the cluster's settings `wanted` unless there are any; gives those that hold.
  [[nodiscard]] virtual result<cluster_settings> settle(const cluster_settings& wanted,
                                                        steady_time deadline) = 0;

  /// All silos, and the partitions whose record has a version above `changed_after`: with the
  /// revision of the last view only what is new, with 0 all. Cost: a scan of the store.
  [[nodiscard]] virtual result<coordination_view> read(std::uint64_t changed_after,
                                                       steady_time deadline) = 0;

  /// One partition's record, nothing when there is none yet.
  [[nodiscard]] virtual result<std::optional<stored_partition>> read_partition(
      partition_id partition, steady_time deadline) = 0;

  /// Puts `wanted` in place of the record with the version `wanted.version` (0: of none). It is
  /// sent once, however it ends. Requires: `wanted.nonce` was never used before (`mint_nonce`).
  [[nodiscard]] virtual cas_outcome compare_and_set(const stored_partition& wanted,
                                                    steady_time deadline) = 0;

  /// Begins a session, and gives the silo's row its incarnation; from now on the session is kept
  /// alive. `row.process` is taken from this process, `row.incarnation` is of no account. An
  /// earlier incarnation's row is replaced when it is `replaces`: whoever has the data directory of
  /// that silo, and its last incarnation in it, knows that it has ended.
  /// Requires: this store has not joined, or has left since.
  /// Errors: `conflict` while another incarnation of that name is in. After any error the caller is
  /// not in, though a row may be there for as long as a session lasts.
  [[nodiscard]] virtual result<std::uint64_t> join(const silo_row& row,
                                                   std::optional<std::uint64_t> replaces,
                                                   steady_time deadline) = 0;

  /// Changes the row of the incarnation that has joined here.
  /// Errors: `fenced` when it is not in any more; it never will be again.
  [[nodiscard]] virtual result<void> update(const silo_row& row, steady_time deadline) = 0;

  /// Ends the session and takes the row out, if it is still in. After an error it may be called
  /// again, until it is known that the row is out.
  virtual result<void> leave(steady_time deadline) = 0;

  /// Makes sure that the process of a silo is gone, and kills it where that is in its power: proof
  /// of death, which cuts short the wait for its leases. The row stays for the store to take out.
  /// Requires: `silo` is another process. Errors: anything that is no proof.
  [[nodiscard]] virtual result<void> ensure_dead(const silo_row& silo, steady_time deadline) = 0;

  /// Whether the process of a silo is certainly gone, which is the same proof; nothing is done to
  /// it. False: it may be there. Errors: `unavailable`, `deadline_exceeded`: not known.
  [[nodiscard]] virtual result<bool> has_ended(const silo_row& silo, steady_time deadline) = 0;
};

/// 64 random bits, never 0. Threading: any thread.
[[nodiscard]] std::uint64_t mint_nonce();

}  // namespace millrace::runtime
