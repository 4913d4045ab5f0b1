// SPDX-License-Identifier: MIT
// What a backup does, and a copy that is to become one.
#include <algorithm>

#include "partition/planted_bug.h"
#include "partition/replica.h"

namespace millrace::runtime {

void replica::tick_following(steady_time now, replica_effects& effects) {
  const bool is_retry = now >= asked_at_ + settings_.retry_interval;
  if (standing_) {
    if (is_retry) {
      effects.change = standing_;
      effects.read_record = true;
      asked_at_ = now;
    }
    return;
  }
  if (!set_aside_) {
    stand_if_due(now, effects);
  }
  if (standing_ || now < heard_at_ + settings_.retry_interval || !is_retry) {
    return;
  }
  // Nobody leads, or not whom it thinks, or nobody there knows of this copy.
  effects.read_record = true;
  asked_at_ = now;
  const auto& set = record().in_sync;
  const auto primary = std::find_if(set.begin(), set.end(), [&](const placed_copy& each) {
    return each.id == record().primary && each.id != state_.id;
  });
  if (primary == set.end()) {
    return;
  }
  if (set_aside_) {
    effects.messages.push_back({*primary, behind_message{self_, 0, {}, {}}});  // whether it leads
  } else {
    tell_what_is_here(*primary, effects);
  }
}

// --- the primary ---------------------------------------------------------------------------------

void replica::follow(const placed_copy& primary, replica_effects& effects) {
  primary_ = primary;
  matched_ = committed_;
  primary_committed_ = 0;
  acknowledged_ = 0;
  has_told_behind_ = false;
  digest_wanted_.reset();
  if (planted(bug::c2_cuts_to_own_commit) && primary.id != copy_id{} &&
      log_.tail().seq > committed_) {
    cut_from(committed_ + 1, effects);
  }
}

bool replica::heed(const placed_copy& from, std::uint64_t epoch, replica_effects& effects) {
  const bool is_lower = epoch < state_.promised_epoch && !planted(bug::w2_accepts_lower_epochs);
  if (is_lower || (leads() && epoch <= record().epoch)) {
    effects.messages.push_back({from, fenced_message{self_, state_.promised_epoch}});
    return false;
  }
  if (epoch == state_.promised_epoch && primary_.id != copy_id{} && primary_.id != from.id) {
    quarantine(damage::differs, effects);  // an epoch has one primary
    return false;
  }
  if (epoch != state_.promised_epoch || primary_.id != from.id) {
    step_down(effects);
    state_.promised_epoch = epoch;
    effects.persist = true;
    follow(from, effects);
  }
  return true;
}

bool replica::is_followed(const placed_copy& from, std::uint64_t epoch) const noexcept {
  return !leads() && from.id == primary_.id && epoch == state_.promised_epoch;
}

void replica::on(const beacon_message& message, steady_time now, replica_effects& effects) {
  effects.read_record = effects.read_record || message.record_version > record().version;
  if (message.data_loss_no != state_.data_loss_no || message.from.id == state_.id ||
      !heed(message.from, message.epoch, effects)) {
    return;
  }
  heard_at_ = now;
  const auto& tail = message.tail;
  if (log_.base().seq <= tail.seq && tail.seq <= log_.tail().seq && log_.at(tail.seq) == tail) {
    matched_ = std::max(matched_, tail.seq);  // and so is everything before
  }
  primary_committed_ = std::max(primary_committed_, message.committed);
  learn_committed();
  has_told_behind_ = false;
  if (intake_.is_open()) {
    if (!intake_unwritten_ && now >= fetched_at_ + settings_.retry_interval) {
      fetched_at_ = now;
      fetch(effects);
    }
  } else if (matched_ < tail.seq) {
    tell_what_is_here_once(effects);
  }
  if (durable_promise_ == state_.promised_epoch) {
    // Who stands for primary must not grant what it would have to wait for again.
    const bool lease = !standing_ || planted(bug::r3_stander_grants);
    if (lease) {
      leases_.granted(now);
    }
    acknowledge(effects);
    effects.messages.push_back(
        {primary_, grant_message{self_, message.epoch, message.sent_at, lease}});
  }
}

void replica::on(const release_message& message, steady_time now, replica_effects& effects) {
  if (leads() || message.epoch != record().epoch || message.from.id != record().primary) {
    return;
  }
  if (message.successor == copy_id{} || message.successor == state_.id) {
    leases_.primary_stopped(message.from.id, message.epoch);
    stand_if_due(now, effects);
  }
}

void replica::on(const discard_message& message, steady_time, replica_effects& effects) {
  if (is_followed(message.from, message.epoch) && !is_complete()) {
    quarantine(damage::discarded, effects);
  }
}

// --- entries -------------------------------------------------------------------------------------

void replica::on(const prepare_message& message, steady_time now, replica_effects& effects) {
  if (message.data_loss_no != state_.data_loss_no || message.from.id == state_.id ||
      !heed(message.from, message.epoch, effects) || intake_.is_open()) {
    return;
  }
  heard_at_ = now;
  const auto entry = decode_entry(message.entry);
  if (!entry || entry->partition != log_.partition() || entry->epoch > message.epoch) {
    return;  // links carry checksums: it was wrong when it was sent
  }
  if (take(*entry, message.entry, effects)) {
    matched_ = std::max(matched_, entry->seq);
    has_told_behind_ = false;
    primary_committed_ = std::max(primary_committed_, message.committed);
    learn_committed();
    if (planted(bug::w3_acknowledges_at_once)) {
      effects.messages.push_back({primary_, prepared_message{self_, state_.promised_epoch,
                                                             committed_, log_.at(matched_)}});
    }
  } else if (role_ != replica_role::quarantined) {
    tell_what_is_here_once(effects);
  }
}

bool replica::take(const journal_entry& entry, const std::string& encoded,
                   replica_effects& effects) {
  auto fit = log_.fit(entry);
  if (fit == entry_fit::conflict) {
    if (!cut_from(entry.seq, effects)) {
      return false;
    }
    fit = log_.fit(entry);
  }
  if (fit == entry_fit::next) {
    log_.take(entry, 0);
    effects.entries.push_back(encoded);
    return true;
  }
  return fit == entry_fit::known || fit == entry_fit::unknown;
}

bool replica::cut_from(std::uint64_t seq, replica_effects& effects) {
  if (seq <= committed_) {
    quarantine(damage::differs, effects);
    return false;
  }
  drop_entries_from(seq, effects);
  log_.cut_above(seq - 1);
  durable_ = std::min(durable_, seq - 1);
  matched_ = std::min(matched_, seq - 1);
  return true;
}

void replica::drop_entries_from(std::uint64_t seq, replica_effects& effects) {
  for (auto each = log_.tail().seq; each >= seq; --each) {
    if (const auto position = log_.position_of(each); position != 0) {
      effects.erased.push_back(position);
    } else {
      effects.entries.pop_back();  // it was not even written
    }
  }
}

// Only what is on the disk, under a promise that is: an entry that was there before this epoch
// counts once the primary was seen to have it.
void replica::acknowledge(replica_effects& effects) {
  const auto seq = planted(bug::w4_counts_any_epoch) ? durable_ : std::min(durable_, matched_);
  if (primary_.id == copy_id{} || durable_promise_ != state_.promised_epoch ||
      seq < log_.base().seq) {
    return;
  }
  acknowledged_ = seq;
  effects.messages.push_back(
      {primary_, prepared_message{self_, state_.promised_epoch, std::max(committed_, rows_reach_),
                                  log_.at(seq)}});
}

// No more than is on its own disk: a checkpoint of it must not be ahead of its journal.
void replica::learn_committed() noexcept {
  committed_ = std::max(committed_, std::min({primary_committed_, matched_, durable_}));
}

// --- catching up ---------------------------------------------------------------------------------

void replica::tell_what_is_here(const placed_copy& to, replica_effects& effects) const {
  const auto lineage = log_.lineage();
  effects.messages.push_back(
      {to, behind_message{
               self_, state_.promised_epoch, log_.tail(), {lineage.begin(), lineage.end()}}});
}

void replica::tell_what_is_here_once(replica_effects& effects) {
  if (!has_told_behind_) {
    has_told_behind_ = true;
    tell_what_is_here(primary_, effects);
  }
}

void replica::on(const snapshot_message& message, steady_time now, replica_effects& effects) {
  const auto& told = intake_.is_open() ? intake_.base() : log_.tail();
  // Whom an operator has chosen, and the store may choose still, keeps what it has.
  if (is_followed(message.from, message.epoch) && !is_complete() && !standing_ &&
      message.tail == told) {
    intake_.begin();
    fetched_at_ = now;
    fetch(effects);
  }
}

void replica::fetch(replica_effects& effects) const {
  effects.messages.push_back(
      {primary_, fetch_message{self_, state_.promised_epoch, intake_.base(), intake_.next()}});
}

// As long as it lasts the copy has no log at all: what is on its disk is neither old nor new.
void replica::on(const range_message& message, steady_time now, replica_effects& effects) {
  if (!is_followed(message.from, message.epoch) || is_complete() || !intake_.take(message)) {
    return;
  }
  intake_unwritten_ = true;
  if (message.first.empty()) {
    drop_entries_from(log_.base().seq + 1, effects);
    effects.clear_rows = true;
    effects.rows.clear();
    effects.persist = true;
    log_ = partition_log{log_.partition()};
    state_.checkpointed = {};
    committed_ = durable_ = matched_ = acknowledged_ = rows_reach_ = 0;
  }
  rows_reach_ = std::max(rows_reach_, message.applied);
  digest_wanted_.reset();  // the rows are ahead of that entry by now
  effects.rows.push_back(message.rows);
  fetched_at_ = now;
  if (intake_.is_open()) {
    return;  // the next one once this is on the disk: `durable`
  }
  log_ = partition_log{log_.partition(), message.base};
  state_.checkpointed = message.base;
  committed_ = matched_ = message.base.seq;  // on the disk with the next flush
  effects.persist = true;
  tell_what_is_here_once(effects);
}

void replica::on(const compare_message& message, steady_time, replica_effects& effects) {
  if (is_followed(message.from, message.epoch) && !intake_.is_open() &&
      message.seq >= rows_reach_) {
    digest_wanted_ = message;
    effects.digest_at = message.seq;
  }
}

}  // namespace millrace::runtime
