// SPDX-License-Identifier: MIT
// How a process writes groups to its disk, and what it does when that fails.
#include "cluster.h"
#include "sim_process.h"

namespace millrace::sim {

// Gives entries that came from elsewhere their positions.
void sim_process::stage() {
  for (const auto position : std::exchange(effects_.erased, {})) {
    batch_.journal.push_back(disk_batch::erasure{position});
  }
  auto entries = std::exchange(effects_.entries, {});
  copy_->place(next_position_, entries.size());
  for (auto& each : entries) {
    batch_.journal.push_back(disk_batch::entry{next_position_++, std::move(each)});
  }
}

void sim_process::checkpoint_now_and_then() {
  const auto& log = copy_->log();
  if (around_.random.once_in(40) && rows_.tail.seq > copy_->state().checkpointed.seq) {
    checkpoint_due_ = true;
  } else if (around_.random.once_in(around_.trims_once_in) && !appended_ &&
             log.base().seq < copy_->forgettable()) {
    const auto through = copy_->forgettable();
    stage();
    for (auto seq = log.base().seq + 1; seq <= through; ++seq) {
      batch_.journal.push_back(disk_batch::erasure{log.position_of(seq)});
    }
    copy_->forget_through(through);
  }
}

void sim_process::flush_if_due() {
  if (std::exchange(checkpoint_due_, false)) {
    copy_->checkpointed(rows_.tail);
    rows_changed_ = true;
  }
  stage();
  if (batch_.empty() && !effects_.persist && !rows_changed_) {
    return;
  }
  effects_.persist = appended_ = false;
  batch_.has_state = true;
  batch_.state = copy_->state();
  if (std::exchange(rows_changed_, false)) {
    batch_.has_rows = true;
    batch_.rows = rows_;
    batch_.rows.tail = copy_->state().checkpointed;
  }
  writing_ = std::exchange(batch_, {});
  flushing_ = true;
  auto time = around_.random.permille(5)
                  ? around_.random.between(milliseconds{10}, milliseconds{800})
                  : around_.random.between(microseconds{100}, milliseconds{2});
  if (around_.plan.now() < disk_slow_until_) {
    time = around_.random.between(milliseconds{500}, milliseconds{900});
  }
  around_.plan.after(time, [this, life = life_] { flushed(writing_, life); });
}

void sim_process::flushed(const disk_batch& batch, std::uint64_t life) {
  if (life != life_) {
    return;
  }
  if (paused_) {
    flush_ended_ = true;  // it is told when it runs again
    return;
  }
  flushing_ = false;
  if (std::exchange(next_write_fails_, false)) {
    around_.log.note(around_.plan.now(), "write failed", {silo_});
    replace_disk();
    return;
  }
  if (disk_full_) {
    failed(batch);
  } else {
    disk_->write(batch);
    around_.check_sets();
    copy_->durable(effects_);
    if (const auto told = std::exchange(digest_, {})) {
      copy_->digested(told->first, told->second, effects_);
    }
  }
  carry_out();
  drain();
}

// The checkpoint has room of its own; of the journal's group nothing is written, and what was to go
// still has to.
void sim_process::failed(disk_batch batch) {
  around_.log.note(around_.plan.now(), "full", {silo_});
  disk_batch rows;
  rows.clears_rows = batch.clears_rows;
  rows.has_rows = batch.has_rows;
  rows.rows = batch.rows;
  disk_->write(rows);
  for (auto& each : batch.journal) {
    const auto* erased = std::get_if<disk_batch::erasure>(&each);
    if (erased != nullptr && disk_->entries.contains(erased->position)) {
      batch_.journal.push_back(*erased);
    }
  }
  writes_.clear();
  copy_->write_failed(now(), effects_);
  if (copy_->committed() < applied_) {  // a snapshot begins anew
    rows_.tail = {};
    applied_ = checked_ = 0;
  }
}

}  // namespace millrace::sim
