// SPDX-License-Identifier: MIT
// Cluster: some silos with a copy each of one partition, their network, their store, their clients
// and their bad luck, all of it from one seed. First everything may fail, then all is mended and
// the partition has to answer again.
#pragma once

#include <memory>
#include <string>

#include "partition/planted_bug.h"
#include "sim_process.h"

namespace millrace::sim {

struct figures {
  std::uint64_t events = 0;
  std::uint64_t faults = 0;
  std::uint64_t lost_messages = 0;
  std::uint64_t writes = 0;  ///< Acknowledged.
  std::uint64_t reads = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t set_changes = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t data_losses = 0;  ///< By an operator's decision.
  duration simulated{};

  figures& operator+=(const figures& other);
};

struct outcome {
  std::string violated;  ///< Empty: all promises were kept.
  std::uint64_t trace_digest = 0;
  std::string trace_text;
  figures counted;
};

class cluster {
public:
  cluster(std::uint64_t seed, bool trace_text);

  /// One whole run.
  outcome run();

  schedule plan;
  dice random;
  trace log;
  sim_net net;
  sim_store store;
  checker check;
  figures counted;
  replica_settings settings;
  std::vector<std::unique_ptr<sim_process>> silos;
  std::uint64_t trims_once_in = 60;  ///< How often a journal lets go of what it does not need.

  /// Looks at the disks of those whom the record lists.
  void check_sets() const;
  [[nodiscard]] std::map<copy_id, const sim_disk*> disks() const;
  /// As long as somebody may answer reads at once, nobody leads a later epoch.
  void check_leases() const;
  /// A silo without a copy makes one.
  void make_copy();
  [[nodiscard]] bool is_healing() const { return healing_; }

private:
  void set_weather();
  void run_clients();
  void move_copies();
  void inject_later();
  void inject();
  void kill_one(sim_process& one);
  void cut_one(std::size_t one);
  void roll_back(sim_process& one);
  void disturb_disk(sim_process& one);
  void disturb_store(std::size_t one);
  void strike_between();
  void depose(const partition_record& after);
  void isolate(std::size_t one, steady_time until);
  void usurp(const partition_record& wanted);
  duration forget_while_joining(const copy_id& primary, std::size_t joining);
  duration hold_up(const partition_record& wanted);
  [[nodiscard]] bool may_lose(const sim_process& one) const;
  void heal();
  void break_glass_if_needed();
  [[nodiscard]] bool has_recovered() const;
  [[nodiscard]] const sim_disk* chosen_by(const partition_record& after) const;
  // Once all is well, every key can be read and all members have the same rows.
  void compare_all();
  // A copy is dead and the primary's disk slow: it goes on without the copy all the same.
  void eject_beside_slow_disk();
  [[nodiscard]] bool are_even() const;
  void read_all();
  // What a stuck cluster looks like.
  [[nodiscard]] std::string describe() const;

  bool healing_ = false;
  bool quiet_ = false;      // no clients
  bool reckless_ = false;   // disks may be lost although nobody else has their content
  bool impatient_ = false;  // operators give data up although they need not
  bool has_slow_primary_ = false;
  struct usurper {
    std::size_t silo;
    std::uint64_t epoch;
    copy_id old;
  };
  std::optional<usurper> usurper_;  // until the store has made it primary
  steady_time held_up_until_{};     // changes of the record
  std::uint64_t writes_before_ = 0;
  std::size_t operator_tries_ = 0;
  steady_time healed_at_{};
  duration client_interval_{};
  duration fault_interval_{};
};

/// One run with that bug in the core. Threading: one at a time.
outcome simulate(std::uint64_t seed, runtime::bug planted, bool trace_text = false);

}  // namespace millrace::sim
