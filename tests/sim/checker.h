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
  /// By that record, which the store has or may get, a copy whose disk was put back sees that it
  /// lacks something.
  void lost_ones_notice(const partition_record& record,
                        const std::map<copy_id, const sim_disk*>& disks) const;
  /// `chosen`: the disk with which an operator lets the partition go on, if that is so and its
  /// content is what it looks like.
  void record_changes(const partition_record& before, const partition_record& after,
                      const std::map<copy_id, const sim_disk*>& disks, const sim_disk* chosen);
  /// Which writes were committed before is not known from now on.
  void lose_track();
  /// That primary, which runs since then, asks for a change of the record.
  void asks(const replica& primary, const partition_record& wanted,
            const std::map<copy_id, const sim_disk*>& disks, steady_time runs_since,
            steady_time now) const;
  /// It is another one from now on, or an old image of itself.
  void disk_lost(const copy_id& id, steady_time now) { lost_[id] = now; }
  [[nodiscard]] bool is_lost(const copy_id& id) const { return lost_.contains(id); }

  /// What a read of that key that arrives now has to show at least.
  [[nodiscard]] std::uint64_t floor_of(std::size_t key) const { return seen_[key]; }
  void acknowledged(std::size_t key, std::uint64_t seq, std::uint64_t value);
  void read(std::size_t key, std::uint64_t value, std::uint64_t floor);
  /// Those of a copy that has applied everything that was committed.
  void rows(const row_image& image) const;
  [[nodiscard]] std::uint64_t last_committed() const {
    return truth_.empty() ? 0 : truth_.rbegin()->first;
  }

  [[nodiscard]] std::uint64_t data_loss_no() const { return data_loss_no_; }
  [[nodiscard]] std::uint64_t writes() const { return writes_; }
  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  [[nodiscard]] std::uint64_t reads_of(std::size_t key) const { return reads_of_[key]; }

private:
  struct past_write {
    std::uint64_t seq;
    std::uint64_t value;
  };
  // What lies above the number never was.
  void forget_above(std::uint64_t seq);
  // The write of that key that was the newest when that number was.
  [[nodiscard]] const past_write* newest(std::size_t key, std::uint64_t seq) const;

  std::uint64_t data_loss_no_ = 0;                       // of the truth
  bool is_truth_known_ = true;                           // else what is below it may be anything
  std::map<std::uint64_t, log_tail> truth_;              // by number
  std::array<std::vector<past_write>, keys> writes_of_;  // in order
  std::map<std::uint64_t, std::uint64_t> seq_of_;        // of a value
  std::array<std::uint64_t, keys> seen_{};
  std::map<copy_id, steady_time> lost_;
  std::uint64_t writes_ = 0;
  std::uint64_t reads_ = 0;
  std::array<std::uint64_t, keys> reads_of_{};
};

/// The operations of a write: a key and its new value.
std::string write_of(std::size_t key, std::uint64_t value);
/// False for an entry that writes nothing.
bool parse_write(std::string_view ops, std::size_t& key, std::uint64_t& value);

}  // namespace millrace::sim
