// SPDX-License-Identifier: MIT
// Checker: what replication promises, compared with everything that a simulated cluster does.
//
// It sees all copies and disks at once. What was committed first under a number is the truth; from
// it follow the values of the registers, and which reads are linearizable: a read has to show the
// last write that had been acknowledged, or had been read, before it arrived, or a later one.
#pragma once

#include <array>
#include <map>
#include <set>
#include <vector>

#include "partition/replica.h"
#include "schedule.h"
#include "sim_disk.h"

namespace millrace::sim {

using runtime::partition_record;
using runtime::replica;
using runtime::replica_role;

class checker {
public:
  /// A copy has committed more than when it was looked at last. `checked`: up to where it was.
  void committed(const replica& copy, const std::vector<const std::string*>& entries,
                 std::uint64_t first);
  /// A copy leads an epoch from now on, by the record that the store has.
  void leads(const replica& copy) const;
  /// Everyone whom the record lists as complete has everything, unless its disk was lost.
  void sets(const partition_record& record, const std::map<copy_id, const sim_disk*>& disks) const;
  void record_changes(const partition_record& before, const partition_record& after,
                      steady_time now);
  void disk_lost(const copy_id& id, steady_time now) { lost_[id] = {now, true}; }
  /// It has an old content, and may catch up again if it was not in the set.
  void disk_rolled_back(const copy_id& id, steady_time now) { lost_[id] = {now, false}; }
  [[nodiscard]] bool is_lost(const copy_id& id) const { return lost_.contains(id); }

  /// What a read of that key that arrives now has to show at least.
  [[nodiscard]] std::uint64_t floor_of(std::size_t key) const { return seen_[key]; }
  void acknowledged(std::size_t key, std::uint64_t seq, std::uint64_t value);
  void read(std::size_t key, std::uint64_t value, std::uint64_t floor);

  [[nodiscard]] std::uint64_t data_loss_no() const { return data_loss_no_; }
  [[nodiscard]] std::uint64_t writes() const { return writes_; }
  [[nodiscard]] std::uint64_t reads() const { return reads_; }

private:
  std::uint64_t data_loss_no_ = 0;                          // of the truth
  std::map<std::uint64_t, log_tail> truth_;                 // by number
  std::array<std::vector<std::uint64_t>, keys> writes_of_;  // numbers, in order
  std::map<std::uint64_t, std::uint64_t> seq_of_;           // of a value
  std::array<std::uint64_t, keys> seen_{};
  struct loss {
    steady_time at;
    bool is_gone;
  };
  std::map<copy_id, loss> lost_;
  std::uint64_t writes_ = 0;
  std::uint64_t reads_ = 0;
};

/// The operations of a write: a key and its new value.
std::string write_of(std::size_t key, std::uint64_t value);
/// False for an entry that writes nothing.
bool parse_write(std::string_view ops, std::size_t& key, std::uint64_t& value);

}  // namespace millrace::sim
