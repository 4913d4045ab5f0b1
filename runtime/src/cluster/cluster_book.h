// SPDX-License-Identifier: MIT
// Cluster book: what one silo knows of its cluster, and what follows from it.
//
// It is told what the coordination store says, what storage says of the partitions that are led
// here, who is proven dead; it says which links to open, which copies to have, who is primary of
// what as far as calls are concerned, which partitions to hand over. A silo knows of itself what it
// leads from its storage and from nobody else: the store may be behind, or ahead.
//
// Pure: no I/O, no clock. Whoever drives it carries the effects out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordination/coordination_store.h"
#include "millrace/runtime/cluster.h"
#include "millrace/runtime/histogram.h"
#include "routing/cluster_map.h"

namespace millrace::runtime {

/// What is to be done after an input. Those of several inputs may gather in one object.
struct cluster_effects {
  struct placed {
    partition_id partition;
    bool here = false;
  };
  struct hand_over {
    partition_id partition;
    std::string to;
  };
  std::vector<silo_row> arrived;  ///< A life of a silo that is new, or has another address now.
  std::vector<silo_row> gone;     ///< A life of a silo that is over, by the store.
  std::vector<stored_partition> learnt;  ///< Records, for storage.
  std::vector<placed> placed_copies;     ///< Which copies this silo should have.
  std::vector<partition_id> founded;     ///< They have no record, and this silo is to begin.
  std::vector<hand_over> hand_overs;
  std::vector<hand_over> moves;        ///< `to`: off which silo; empty: none.
  std::vector<partition_id> stranded;  ///< Led, when this silo goes, and nobody can follow.
  std::vector<partition_id> hopeless;  ///< Of these, what has too few copies to be written.
  bool map_changed = false;
  bool expelled = false;              ///< This silo is not in any more, and never will be.
  std::vector<std::string> log;       ///< What has changed, and why; a line each.
  std::vector<std::string> warnings;  ///< What somebody should look at.
};

/// Which partitions without a record a silo begins.
enum class founding : std::uint8_t {
  preferred,  ///< Those that prefer it.
  all,        ///< The cluster begins with what it has.
  none,       ///< It begins with what another silo has.
};

struct cluster_book_settings {
  std::string silo;
  std::uint64_t incarnation = 0;
  std::uint16_t partition_count = 1;
  std::size_t copies = 3;
  bool has_state = false;  ///< This silo's role.
  duration balance_after = std::chrono::seconds{5};
  duration replace_after = std::chrono::minutes{5};
  founding begins = founding::preferred;
};

/// What a book has seen happen, for metrics; see `cluster_metrics`.
struct cluster_counts {
  std::uint64_t epoch_changes = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t hand_overs = 0;
  histogram leaderless;
  std::uint64_t ejections = 0;
  std::uint64_t joins = 0;
};

/// How a silo takes part.
enum class presence : std::uint8_t {
  active,
  draining,        ///< It leads only what no other could, for as long as its operator wants it so.
  decommissioned,  ///< The same; and its copies move to others, since it is to go for good.
  leaving,         ///< It hands over everything, since it stops.
};

/// Threading: one thread at a time. Time: `now` must not go backwards.
/// Cost: an input that changes who is in O(silos x partitions), else O(partitions).
class cluster_book {
public:
  explicit cluster_book(cluster_book_settings settings);

  /// What the store shows: all silos, and the records that have changed; at first, all of them.
  void read(const coordination_view& view, steady_time now, cluster_effects& effects);
  /// A record, by another way.
  void learn(const stored_partition& record, steady_time now, cluster_effects& effects);
  /// As storage says.
  void leads(partition_id partition, std::uint64_t epoch, steady_time now,
             cluster_effects& effects);
  void lost(partition_id partition, steady_time now, cluster_effects& effects);
  /// Another silo says that it leads the partition in that epoch: for calls, until there is a
  /// record that is as new.
  void follows(partition_id partition, std::uint64_t epoch, const std::string& silo,
               steady_time now, cluster_effects& effects);
  /// That life of a silo is proven to be over, whatever the store says.
  void died(const std::string& silo, std::uint64_t incarnation, steady_time now,
            cluster_effects& effects);
  /// How this silo takes part from now on. One that leaves does nothing else any more; what could
  /// not be written without it, it keeps until then, where another silo is on its way into the set.
  void take_part(presence how, steady_time held_until = {}) noexcept;
  [[nodiscard]] presence takes_part() const noexcept { return presence_; }
  /// Time has passed. To be called about ten times a second.
  void tick(steady_time now, cluster_effects& effects);

  /// Whether this silo leads nothing any more that another could lead, and no set needs it that
  /// another silo is on its way into. Requires: it leaves, or drains.
  [[nodiscard]] bool has_drained() const;
  /// The row of a silo that is in; null when it is not.
  [[nodiscard]] const silo_row* find(std::string_view silo) const;
  /// Of the last read.
  [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }
  /// For calls.
  [[nodiscard]] std::shared_ptr<const cluster_map> map() const;
  /// Whether a silo that is in, and is not known to be dead, is primary of the partition by its
  /// record; then its name, else empty.
  [[nodiscard]] std::string_view leader(partition_id partition) const;
  [[nodiscard]] const stored_partition& record(partition_id partition) const {
    return partitions_.at(static_cast<std::size_t>(partition)).record;
  }
  /// Whether another silo with copies is in that is not about to go.
  [[nodiscard]] bool has_others() const;
  /// Whether another silo is in that takes part.
  [[nodiscard]] bool has_company() const;
  [[nodiscard]] const cluster_counts& counts() const noexcept { return counts_; }
  /// For people. `cluster_id`, `is_outdated` and `copies` are left out.
  [[nodiscard]] cluster_view view() const;

private:
  struct entry {
    stored_partition record;           // version 0: none is known
    std::vector<std::string> ranked;   // those that may have copies
    std::vector<std::string> holders;  // the same, and who is awaited
    std::vector<std::string> leaders;  // of `ranked`, those that may be asked to lead
    std::vector<std::string> missing;  // members that were not there when this silo started
    std::uint64_t led_epoch = 0;       // here; 0: it is not
    bool is_here = false;              // should have a copy here
    bool is_stranded = false;          // and that was told
    bool was_shared = false;           // has had several copies, as far as this silo knows
    std::uint64_t heard_epoch = 0;     // that a silo has told of itself
    std::string heard_primary;
    std::string primary;    // for calls; empty: none
    std::string before;     // who led before the record's primary
    std::string successor;  // who should lead instead of this silo
    steady_time successor_since{};
    std::string handed_to;  // asked to take over, until it is known whether it has
    std::string leaving;    // whose copy should move, if that is to be
    steady_time leaving_since{};
    bool is_moving = false;               // storage was told
    std::optional<steady_time> asked_at;  // to be founded, or handed over
    std::optional<steady_time> leaderless_since;
  };
  // A silo that is not in, and may be back with its copies. Until then its zone counts as if it
  // were in, so that copies do not move to and fro.
  struct absence {
    std::optional<std::string> zone;  // nothing: not known
    steady_time until;
  };
  // Partitions whose sets have changed in the same way, by what is said of them.
  using set_changes = std::map<std::string, std::vector<partition_id>>;

  void take_silos(const std::vector<silo_row>& rows, steady_time now, cluster_effects& effects);
  bool take_record(const stored_partition& record, set_changes& changes);
  void compare_sets(const stored_partition& before, const stored_partition& after,
                    set_changes& changes);
  static void tell(const set_changes& changes, cluster_effects& effects);
  void tell_single_copies(cluster_effects& effects);
  void note_absence(const silo_row& row, steady_time now);
  void await_members(steady_time now);
  void rank();
  [[nodiscard]] bool is_short(const entry& one) const;
  [[nodiscard]] bool is_awaited(std::string_view silo) const;
  [[nodiscard]] const std::vector<std::string>& placed(const entry& one) const;
  void note_hand_over(entry& led, bool has_failed, steady_time now, cluster_effects& effects);
  void place(cluster_effects& effects);
  void find_primaries(steady_time now, cluster_effects& effects);
  void find_primary(entry& one, steady_time now, cluster_effects& effects);
  void found(steady_time now, cluster_effects& effects);
  [[nodiscard]] bool is_to_found(const entry& one) const;
  void find_successor(entry& one, steady_time now) const;
  [[nodiscard]] std::size_t members_without_self(const entry& one) const;
  [[nodiscard]] bool is_needed(const entry& one) const;
  [[nodiscard]] bool may_hand_over(const entry& one, steady_time now) const;
  [[nodiscard]] bool leads_still(const stored_partition& record) const;
  [[nodiscard]] static bool is_between(const entry& one, steady_time now);
  void move_copies(steady_time now, cluster_effects& effects);
  [[nodiscard]] bool takes_calls(const silo_row& row) const;
  [[nodiscard]] bool may_hold_copies(const silo_row& row) const;
  [[nodiscard]] bool is_alive(const silo_row& row) const;

  const cluster_book_settings settings_;
  std::uint64_t revision_ = 0;
  std::map<std::string, silo_row, std::less<>> silos_;
  std::map<std::string, std::uint64_t> dead_;  // lives proven to be over, by name
  std::map<std::string, absence, std::less<>> absent_;
  std::map<std::string, steady_time, std::less<>> unready_;  // have not taken over; until when
  std::vector<entry> partitions_;
  presence presence_ = presence::active;
  steady_time held_until_{};
  std::size_t single_copies_ = 0;  // led here, at the last tick
  bool are_single_told_ = false;
  cluster_counts counts_;
};

}  // namespace millrace::runtime
