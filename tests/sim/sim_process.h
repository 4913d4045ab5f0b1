// SPDX-License-Identifier: MIT
// SimProcess: a silo that drives one copy as the journal thread does. Inputs wait while a group is
// being written; entries are applied when they are committed; a checkpoint follows.
#pragma once

#include <deque>
#include <memory>

#include "checker.h"
#include "sim_store.h"

namespace millrace::sim {

using runtime::damage;
using runtime::placed_copy;
using runtime::replica_effects;
using runtime::replica_message;
using runtime::replica_settings;

class cluster;

class sim_process {
public:
  sim_process(cluster& around, std::size_t silo);

  [[nodiscard]] std::size_t silo() const { return silo_; }
  [[nodiscard]] bool is_up() const { return is_up_; }
  [[nodiscard]] bool has_disk() const { return disk_ != nullptr; }
  [[nodiscard]] const replica* copy() const { return copy_.get(); }
  [[nodiscard]] const sim_disk& disk() const { return *disk_; }
  /// Nothing on its disk is known to be damaged, but for what the checker knows.
  [[nodiscard]] bool is_sound() const {
    return disk_ && !is_tainted() && !disk_->rotten_key && !disk_->has_rotten_entry;
  }
  /// Its content may not be what it looks like.
  [[nodiscard]] bool is_tainted() const {
    return tainted_ || (copy_ && applied_ < rows_reach_);  // rows of a snapshot are of two moments
  }
  [[nodiscard]] const row_image& rows() const { return rows_; }
  [[nodiscard]] std::uint64_t applied() const { return applied_; }
  [[nodiscard]] copy_id id() const { return disk_ ? disk_->state.id : copy_id{}; }
  [[nodiscard]] bool leads() const {
    return copy_ &&
           (copy_->role() == replica_role::primary || copy_->role() == replica_role::recovering);
  }

  /// Whether a read that arrives now would be answered at once, if the process runs.
  [[nodiscard]] bool may_answer_now() const { return copy_ && copy_->may_answer(now(), now()); }

  // --- faults
  void start();
  void kill();
  void pause(duration length);
  void resume();
  void set_disk_full(bool is_full) { disk_full_ = is_full; }
  /// Each group takes most of a second until then.
  void slow_disk(steady_time until) { disk_slow_until_ = until; }
  /// The disk is another one: its copy is lost. A silo that had none gets one.
  void replace_disk();
  void rot();
  void rot_row();
  /// The next write fails: the process exits, and its copy counts as lost.
  void fail_next_write() { next_write_fails_ = true; }
  void keep_image();
  /// Whether there is an image that is known to be too old.
  [[nodiscard]] bool may_roll_back() const;
  void roll_back();

  // --- inputs; each happens when the process runs and is not writing
  void deliver(const placed_copy& to, const replica_message& message, steady_time sent_at);
  void learn(const partition_record& record);
  /// The same from a watch, which counts for nothing before the record was read in this life.
  void notice(const partition_record& record);
  void hear_of_death(const copy_id& primary, std::uint64_t epoch);
  void write(std::size_t key);
  void read(std::size_t key);
  void hand_over(std::size_t to);
  void let_go(std::size_t member);
  void break_glass();

private:
  struct input {
    bool is_message;
    std::function<void()> act;
  };
  struct waiting_write {
    std::uint64_t seq;
    std::size_t key;
    std::uint64_t value;
  };
  struct waiting_read {
    std::size_t key;
    steady_time arrived;
    std::uint64_t floor;
  };

  [[nodiscard]] steady_time now() const;
  void run(input what);
  [[nodiscard]] std::function<void()> next_input();
  void drain();
  void settle();
  void carry_out();
  void carry_out_once();
  void take_rows();
  void take_range(const std::string& rows);
  // Whether the row of that key, or of one up to `end`, is as it was written; if not the copy is
  // gone.
  [[nodiscard]] bool reads_well(std::size_t first, std::size_t end);
  void send(const placed_copy& to, const replica_message& message);
  void ship(const replica_effects::shipment& what);
  void send_range(const replica_effects::range_read& wanted);
  void append(const std::string& ops);
  // The entry's bytes, wherever they are; none when the disk has rotted there.
  [[nodiscard]] const std::string* bytes_of(std::uint64_t seq);
  void apply();
  void tell_committed();
  void tell_digest();
  void answer();
  void stage();
  void flush_if_due();
  void flushed(const disk_batch& batch, std::uint64_t life);
  void failed(disk_batch batch);
  void checkpoint_now_and_then();
  void tick();
  void tick_later();
  void found_damaged(damage why);
  [[nodiscard]] bool load(runtime::partition_log& log);

  cluster& around_;
  const std::size_t silo_;
  const std::string name_;
  double rate_;
  duration clock_offset_;
  std::uint64_t generation_ = 0;
  std::uint64_t life_ = 0;
  bool is_up_ = false;
  bool paused_ = false;
  steady_time runs_since_{};  // it was not stopped since; of the simulation
  bool flushing_ = false;
  bool flush_ended_ = false;  // while it was stopped
  bool disk_full_ = false;
  steady_time disk_slow_until_{};
  bool next_write_fails_ = false;
  bool tainted_ = false;  // its disk may be an old one
  // What was sent before does not arrive any more: a link's session ends with the process. From
  // such leftovers it could get past the floor, and not know that it has less than it had.
  steady_time put_back_at_{};
  std::unique_ptr<sim_disk> disk_;
  std::unique_ptr<sim_disk> image_;

  // The process's memory.
  std::unique_ptr<replica> copy_;
  replica_effects effects_;
  std::deque<std::function<void()>> messages_;
  std::deque<std::function<void()>> requests_;
  bool tick_due_ = false;
  disk_batch batch_;  // staged
  disk_batch writing_;
  bool appended_ = false;
  bool rows_changed_ = false;
  bool checkpoint_due_ = false;
  std::uint64_t next_position_ = 1;
  row_image rows_;
  std::uint64_t applied_ = 0;
  std::uint64_t rows_reach_ = 0;  // as the copy's
  std::uint64_t checked_ = 0;     // the checker has seen what is committed up to here
  std::optional<std::uint64_t> digest_at_;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> digest_;  // to be told with a checkpoint
  std::vector<waiting_write> writes_;
  std::vector<waiting_read> reads_;
};

}  // namespace millrace::sim
