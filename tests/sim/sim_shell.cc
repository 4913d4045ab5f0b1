// SPDX-License-Identifier: MIT
// What a process does with the effects of its copy.
#include <cstring>

#include "cluster.h"
#include "sim_assert.h"
#include "sim_process.h"

namespace millrace::sim {
namespace {

constexpr duration read_patience = seconds{2};

std::size_t silo_of(const std::string& name) {
  return static_cast<std::size_t>(name[1] - '0');
}

std::uint64_t digest_of(const row_image& rows) {
  return XXH3_64bits(rows.values.data(), sizeof rows.values);
}

}  // namespace

void sim_process::carry_out() {
  const auto life = life_;
  const auto has_more = [this] {
    return effects_.quarantined || !effects_.messages.empty() || !effects_.shipments.empty() ||
           !effects_.ranges.empty() || effects_.digest_at || effects_.change ||
           effects_.read_record || effects_.wants_barrier || effects_.lost_primacy ||
           effects_.wants_copy || effects_.clear_rows || !effects_.rows.empty();
  };
  do {
    carry_out_once();
    if (life != life_) {
      return;
    }
    apply();
    if (life != life_) {
      return;
    }
  } while (has_more());
  answer();
}

void sim_process::carry_out_once() {
  if (effects_.quarantined) {
    quarantined(*effects_.quarantined);
    return;
  }
  take_rows();
  for (const auto& each : std::exchange(effects_.messages, {})) {
    send(each.to, each.message);
  }
  const auto life = life_;
  for (const auto& each : std::exchange(effects_.shipments, {})) {
    ship(each);
    if (life != life_) {
      return;
    }
  }
  for (const auto& each : std::exchange(effects_.ranges, {})) {
    send_range(each);
  }
  if (effects_.digest_at) {
    digest_at_ = std::exchange(effects_.digest_at, {});
    tell_digest();
  }
  const auto learnt = [this, life](const partition_record& record) {
    if (life == life_) {
      learn(record);
    }
  };
  if (auto change = std::exchange(effects_.change, {})) {
    around_.log.note(around_.plan.now(), "ask",
                     {silo_, change->version, change->epoch, change->in_sync.size(),
                      change->eligible.size(), change->nonce & 0xff});
    around_.store.change(silo_, *change, learnt);
  }
  if (std::exchange(effects_.read_record, false)) {
    around_.store.read(silo_, learnt);
  }
  if (std::exchange(effects_.lost_primacy, false)) {
    writes_.clear();  // their outcome is unknown
    reads_.clear();
  }
  if (std::exchange(effects_.wants_barrier, false)) {
    append({});
  }
  if (std::exchange(effects_.wants_copy, false)) {
    around_.make_copy();
  }
}

void sim_process::take_rows() {
  if (!effects_.clear_rows && effects_.rows.empty()) {
    return;
  }
  if (std::exchange(effects_.clear_rows, false)) {
    rows_ = {};
    ++around_.counted.snapshots;
  }
  for (const auto& each : std::exchange(effects_.rows, {})) {
    for (std::size_t at = 0; at + 9 <= each.size(); at += 9) {
      const auto key = static_cast<unsigned char>(each[at]);
      std::memcpy(&rows_.values[key], each.data() + at + 1, 8);
    }
  }
  rows_.tail = copy_->state().checkpointed;  // none as long as ranges are missing
  applied_ = checked_ = rows_.tail.seq;
  rows_changed_ = true;
}

void sim_process::send(const placed_copy& to, const replica_message& message) {
  const auto target = silo_of(to.silo);
  around_.net.send(silo_, target,
                   [this, target, to, message] { around_.silos[target]->deliver(to, message); });
}

void sim_process::ship(const replica_effects::shipment& what) {
  for (auto seq = what.first_seq; seq <= what.last_seq && seq <= copy_->log().tail().seq; ++seq) {
    const auto* const bytes = seq > copy_->log().base().seq ? bytes_of(seq) : nullptr;
    if (bytes == nullptr) {
      return;
    }
    send(what.to, runtime::prepare_message{{id(), name_},
                                           copy_->state().data_loss_no,
                                           copy_->record().epoch,
                                           copy_->committed(),
                                           *bytes});
  }
}

void sim_process::send_range(const replica_effects::range_read& wanted) {
  const auto first = wanted.first.empty() ? 0U : static_cast<std::size_t>(wanted.first[0]);
  const auto end = std::min(first + keys_per_range, keys);
  std::string rows;
  for (auto key = first; key < end; ++key) {
    if (rows_.values[key] != 0) {
      rows += write_of(key, rows_.values[key]);
    }
  }
  const auto next = end < keys ? std::string(1, static_cast<char>(end)) : std::string{};
  copy_->send_range(wanted, rows, next, applied_, effects_);
}

void sim_process::append(const std::string& ops) {
  stage();
  std::string bytes;
  const auto position = next_position_++;
  copy_->append(ops, position, bytes, effects_);
  batch_.journal.push_back(disk_batch::entry{position, std::move(bytes)});
  appended_ = true;
}

const std::string* sim_process::bytes_of(std::uint64_t seq) {
  const auto position = copy_->log().position_of(seq);
  for (const auto& each : batch_.journal) {
    const auto* put = std::get_if<disk_batch::entry>(&each);
    if (put != nullptr && put->position == position) {
      return &put->bytes;
    }
  }
  const auto found = disk_->entries.find(position);
  if (found == disk_->entries.end()) {
    throw violation{"an entry is needed that was not written"};
  }
  if (!runtime::decode_entry(found->second)) {
    around_.log.note(around_.plan.now(), "rotten", {silo_, position});
    replace_disk();  // what is damaged is not used, and not tried again
    return nullptr;
  }
  return &found->second;
}

void sim_process::apply() {
  const auto first = checked_ + 1;
  std::vector<const std::string*> entries;
  while (applied_ < copy_->committed()) {
    const auto* const bytes = bytes_of(applied_ + 1);
    if (bytes == nullptr) {
      return;
    }
    ++applied_;
    entries.push_back(bytes);
    std::size_t key = 0;
    std::uint64_t value = 0;
    if (parse_write(runtime::decode_entry(*bytes)->ops, key, value)) {
      rows_.values[key] = value;
    }
    rows_.tail = copy_->log().at(applied_);
    tell_digest();
  }
  if (!entries.empty()) {
    around_.log.note(around_.plan.now(), "commit", {silo_, applied_, rows_.tail.digest});
    around_.check.committed(*copy_, entries, first);
    checked_ = applied_;
    around_.check_sets();
  }
}

void sim_process::tell_digest() {
  if (digest_at_ && *digest_at_ <= applied_) {
    if (const auto seq = *std::exchange(digest_at_, {}); seq == applied_) {
      around_.log.note(around_.plan.now(), "digest", {silo_, seq, digest_of(rows_)});
      if (leads()) {
        copy_->digested(seq, digest_of(rows_), effects_);
      } else {
        digest_.emplace(seq, digest_of(rows_));
        checkpoint_due_ = true;
      }
    }
  }
}

void sim_process::answer() {
  const bool is_current = copy_->state().data_loss_no == around_.check.data_loss_no();
  std::erase_if(writes_, [&](const waiting_write& each) {
    const bool is_done = each.seq <= copy_->committed();
    if (is_done && is_current) {
      around_.check.acknowledged(each.key, each.seq, each.value);
    }
    return is_done;
  });
  std::erase_if(reads_, [&](const waiting_read& each) {
    if (now() >= each.arrived + read_patience) {
      return true;
    }
    const bool may = copy_->may_answer(each.arrived, now());
    if (may && is_current) {
      around_.check.read(each.key, rows_.values[each.key], each.floor);
    }
    return may;
  });
}

// --- the disk ------------------------------------------------------------------------------------

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
  } else if (around_.random.once_in(60) && !appended_ && log.base().seq < copy_->forgettable()) {
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
  const auto time = around_.random.permille(5)
                        ? around_.random.between(milliseconds{10}, milliseconds{800})
                        : around_.random.between(microseconds{100}, milliseconds{2});
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
