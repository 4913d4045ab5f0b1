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
    return effects_.quarantined || effects_.set_aside || !effects_.messages.empty() ||
           !effects_.shipments.empty() || !effects_.ranges.empty() || effects_.digest_at ||
           effects_.change || effects_.read_record || effects_.wants_barrier ||
           effects_.lost_primacy || effects_.wants_copy || effects_.clear_rows ||
           !effects_.rows.empty();
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
  if (const auto why = std::exchange(effects_.set_aside, {})) {
    found_damaged(*why);
  }
  if (effects_.quarantined) {
    if (effects_.quarantined != damage::lost_committed) {
      found_damaged(*effects_.quarantined);
    }
    replace_disk();
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
    if (life != life_) {
      return;
    }
  }
  if (effects_.digest_at) {
    digest_at_ = std::exchange(effects_.digest_at, {});
    tell_digest();
    if (life != life_) {
      return;
    }
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
    if (leads()) {
      around_.check.asks(*copy_, *change, around_.disks(), runs_since_, around_.plan.now());
    }
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
    batch_.clears_rows = true;
    ++around_.counted.snapshots;
  }
  for (const auto& each : std::exchange(effects_.rows, {})) {
    take_range(each);
  }
  rows_.tail = copy_->state().checkpointed;  // none as long as ranges are missing
  applied_ = checked_ = rows_.tail.seq;
  rows_changed_ = true;
}

// Now and then a row is not what was to be written, which its checksum does not tell.
void sim_process::take_range(const std::string& rows) {
  const bool is_bad = !around_.is_healing() && around_.random.once_in(15);
  const auto bad = is_bad && !rows.empty() ? around_.random.below(rows.size() / 9) * 9 : 0;
  for (std::size_t at = 0; at + 9 <= rows.size(); at += 9) {
    const auto key = static_cast<unsigned char>(rows[at]);
    if (is_bad && at == bad) {
      around_.log.note(around_.plan.now(), "lost row", {silo_, key});
      tainted_ = true;
      continue;
    }
    std::memcpy(&rows_.values[key], rows.data() + at + 1, 8);
  }
}

bool sim_process::reads_well(std::size_t first, std::size_t end) {
  const auto& rotten = disk_->rotten_key;
  if (!rotten || *rotten < first || *rotten >= end) {
    return true;
  }
  around_.log.note(around_.plan.now(), "rotten row", {silo_, *rotten});
  replace_disk();
  return false;
}

void sim_process::send(const placed_copy& to, const replica_message& message) {
  const auto target = silo_of(to.silo);
  around_.net.send(silo_, target, [this, target, to, message, sent_at = around_.plan.now()] {
    around_.silos[target]->deliver(to, message, sent_at);
  });
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
  if (!reads_well(first, end)) {
    return;
  }
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
    if (copy_ == nullptr) {
      return;
    }
  }
  if (!entries.empty()) {
    around_.log.note(around_.plan.now(), "commit", {silo_, applied_, rows_.tail.digest});
    around_.check.committed(*copy_, entries, first);
    checked_ = applied_;
    around_.check_sets();
    around_.check_leases();
  }
}

// An operator chose this copy. Since the record says so it may have applied more, of the primary
// before: that was committed for nobody else.
void sim_process::tell_committed() {
  const auto first = around_.check.last_committed() + 1;
  if (first <= copy_->log().base().seq) {
    around_.check.lose_track();
    return;
  }
  std::vector<const std::string*> entries;
  for (auto seq = first; seq <= applied_; ++seq) {
    entries.push_back(bytes_of(seq));
    if (entries.back() == nullptr) {
      return;
    }
  }
  around_.check.committed(*copy_, entries, first);
}

void sim_process::tell_digest() {
  if (digest_at_ && *digest_at_ <= applied_) {
    if (const auto seq = *std::exchange(digest_at_, {}); seq == applied_ && reads_well(0, keys)) {
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
  bool is_rotten = false;
  std::erase_if(reads_, [&](const waiting_read& each) {
    if (is_rotten || now() >= each.arrived + read_patience) {
      return true;
    }
    const bool may = copy_->may_answer(each.arrived, now());
    is_rotten = may && disk_->rotten_key == each.key;
    if (is_rotten) {
      return true;
    }
    if (may && is_current) {
      around_.check_leases();
      around_.check.read(each.key, rows_.values[each.key], each.floor);
    }
    return may;
  });
  if (is_rotten) {
    replace_disk();
  }
}

}  // namespace millrace::sim
