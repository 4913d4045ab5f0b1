// SPDX-License-Identifier: MIT
// The record, and who may lead. What a primary does: replica_leading.cc and replica_set.cc; what a
// backup does: replica_following.cc.
#include "partition/replica.h"

#include <algorithm>

#include "partition/planted_bug.h"

namespace millrace::runtime {

void replica_effects::clear() {
  *this = {};
}

// What the checkpoint holds was committed; of what lies above only a record or a primary can tell.
replica::replica(const copy_state& state, partition_log log, replica_settings settings,
                 steady_time now)
    : state_(state),
      log_(std::move(log)),
      settings_(std::move(settings)),
      self_{state.id, settings_.silo},
      committed_(state.checkpointed.seq),
      epoch_found_(log_.tail().epoch),
      durable_(log_.tail().seq),
      durable_promise_(state.promised_epoch),
      leases_(settings_.guard, now),
      matched_(committed_) {
  MILLRACE_ASSERT(settings_.lease < settings_.guard && settings_.eject_after < settings_.guard);
  if (planted(bug::t3_forgets_promise)) {
    state_.promised_epoch = durable_promise_ = 0;
    return;
  }
  // An entry is a promise of its epoch, too.
  state_.promised_epoch = std::max(state.promised_epoch, log_.tail().epoch);
}

bool replica::may_answer(steady_time arrived, steady_time now) const noexcept {
  const bool is_ready =
      planted(bug::r5_answers_before_barrier) ? leads() : role_ == replica_role::primary;
  return is_ready && peers_.all_consent(arrived, now);
}

steady_time replica::answers_until() const noexcept {
  if (role_ != replica_role::primary) {
    return {};
  }
  auto until = steady_time::max();
  for (const auto& each : peers_.all()) {
    until = each.may_lead ? std::min(until, each.granted_until) : until;
  }
  return until;
}

bool replica::may_append() const noexcept {
  return role_ == replica_role::primary && set_.has_minimum() && !successor_;
}

std::uint64_t replica::forgettable() const noexcept {
  auto seq = state_.checkpointed.seq;
  for (const auto& each : peers_.all()) {
    seq = each.pins_log() ? std::min(seq, each.needs_from()) : seq;
  }
  return seq;
}

void take_over_alone(replica& copy, steady_time now) {
  replica_effects none;
  partition_record record;
  record.version = 1;
  record.data_loss_no = copy.state().data_loss_no;
  record.primary = copy.state().id;
  record.in_sync = {{copy.state().id, {}}};
  copy.learn(record, now, none);
  auto won = copy.stand(now);
  MILLRACE_ASSERT(won);
  ++won->version;
  copy.learn(*won, now, none);
  MILLRACE_ASSERT(copy.role() == replica_role::primary && !none.persist);
}

// --- who leads -----------------------------------------------------------------------------------

// Whoever the record names primary had waited before it stood. If its log ended in that epoch when
// this life began, an earlier one has led it, and no life since has granted anything to an older
// one: it need not wait again. A promise does not prove that: who only learns the record makes it.
std::optional<partition_record> replica::stand(steady_time now) {
  const bool was_primary = record().primary == state_.id;
  const bool granted_nothing = was_primary && epoch_found_ >= record().epoch;
  const bool has_led = record().state == partition_state::active ||
                       (primary_.id == record().primary && state_.promised_epoch == record().epoch);
  const bool has_all = log_.tail().seq >= record().commit_floor || planted(bug::t1_ignores_floor);
  if (role_ != replica_role::backup || record().version == 0 || standing_ || !has_all ||
      record().data_loss_no != state_.data_loss_no || !is_complete() || intake_.is_open() ||
      !leases_.is_over(record().primary, record().epoch, has_led, granted_nothing, now)) {
    return std::nullopt;
  }
  auto wanted = with_primary(record(), self_, state_.promised_epoch + 1);
  wanted.commit_floor = std::max(record().commit_floor, committed_);
  wanted.nonce = next_nonce();
  standing_ = wanted;
  return wanted;
}

void replica::stand_if_due(steady_time now, replica_effects& effects) {
  if (auto wanted = stand(now)) {
    effects.change = std::move(wanted);
    asked_at_ = now;
  }
}

void replica::break_glass(steady_time now, replica_effects& effects) {
  if (role_ != replica_role::backup || record().version == 0 || intake_.is_open()) {
    return;
  }
  auto wanted = with_data_lost(record(), self_, state_.promised_epoch + 1);
  // By the time it happens this may be another life, which has given its content away for rows.
  wanted.commit_floor = std::max(committed_, std::min<std::uint64_t>(durable_, 1));
  wanted.nonce = next_nonce();
  standing_ = wanted;
  effects.change = std::move(wanted);
  asked_at_ = now;
}

void replica::primary_died(const copy_id& primary, std::uint64_t epoch, steady_time now,
                           replica_effects& effects) {
  leases_.primary_died(primary, epoch);
  stand_if_due(now, effects);
}

// --- the record ----------------------------------------------------------------------------------

void replica::learn(const partition_record& record, steady_time now, replica_effects& effects) {
  const auto before = set_.record();
  if (role_ == replica_role::quarantined) {
    return;
  }
  learnt_at_ = now;
  if (!set_.learn(record)) {
    if (planted(bug::s2_forgets_unknown_changes)) {
      find_others(now, effects);
    }
    return;
  }
  const bool is_mine = record.primary == state_.id;
  const bool has_won = is_mine && standing_ && record.nonce == standing_->nonce &&
                       record.epoch >= state_.promised_epoch;  // nobody has won a later one since
  const bool resumes = planted(bug::t6_resumes_epoch) && is_mine && before.version == 0 &&
                       epoch_found_ == record.epoch && state_.promised_epoch == record.epoch;
  const bool goes_on = is_mine && leads() && record.epoch == before.epoch;
  standing_.reset();
  const bool was_chosen =
      record.data_loss_no != state_.data_loss_no && contains(record.in_sync, self_);
  if (was_chosen) {
    state_.data_loss_no = record.data_loss_no;  // the partition goes on with what this copy has
    effects.persist = true;
  }
  // Who fetches rows was told to by a primary that knows it to be out of the set: what lists it is
  // an older record, unless an operator has chosen what it had.
  const bool has_less = intake_.is_open() ? was_chosen : log_.tail().seq < record.commit_floor;
  const bool lacks_committed = is_complete() && has_less && !planted(bug::t1_ignores_floor);
  const bool is_given_up = record.data_loss_no != state_.data_loss_no;
  // All copies may have been put back to an old day, and whom an operator chose may have lost what
  // it had before that was known. So what is here stays until another one leads, and an operator
  // may decide to go on with it.
  const auto was_aside = std::exchange(set_aside_, {});
  if (is_given_up && (log_.tail().seq == 0 || intake_.is_open())) {
    quarantine(damage::given_up, effects);  // there is nothing to keep
  } else if (is_given_up || lacks_committed) {
    set_aside_ = is_given_up ? damage::given_up : damage::lost_committed;
    effects.set_aside = set_aside_ != was_aside ? set_aside_ : std::nullopt;
    step_down(effects);
    follow({}, effects);  // what is still to be written here is acknowledged to nobody
  } else if (was_aside && !is_complete()) {
    set_aside_ = was_aside;
  } else if (goes_on) {
    note_ejected(before, now);
    floor_at_ = now;
    find_others(now, effects);
    advance();
  } else {
    step_down(effects);
    if (has_won || resumes) {
      lead(now, effects);
    } else if (record.epoch > state_.promised_epoch && !planted(bug::t3_forgets_promise)) {
      state_.promised_epoch = record.epoch;  // whoever led before must not be granted anything more
      effects.persist = true;
      follow({}, effects);
    }
    // Who has just won gets time to gather its copies: one that is cut off from the others, but not
    // from the store, would take it away again and again.
    if (!has_won && record.epoch > before.epoch && before.version != 0) {
      leases_.stay_away(now + settings_.guard);
    }
  }
}

void replica::lead(steady_time now, replica_effects& effects) {
  role_ = replica_role::recovering;
  state_.promised_epoch = record().epoch;
  barrier_ = 0;
  floor_at_ = beacons_due_ = ticked_at_ = now;
  digest_wanted_.reset();
  find_others(now, effects);
  if (settings_.copies == 1 && peers_.empty() && set_.has_minimum()) {
    // There never was anybody else: what its disk has is all there is, and the promise is as good
    // as on the disk with the first entry of the epoch.
    role_ = replica_role::primary;
    advance();
    return;
  }
  effects.persist = true;
}

void replica::step_down(replica_effects& effects) {
  if (!leads()) {
    return;
  }
  role_ = replica_role::backup;
  peers_.clear();
  set_.forget_changes();
  blocked_since_.reset();
  short_since_.reset();
  successor_.reset();
  comparison_ = {};
  let_go_.reset();
  follow({}, effects);
  effects.lost_primacy = true;
}

void replica::quarantine(damage why, replica_effects& effects) {
  step_down(effects);
  set_aside_.reset();
  role_ = replica_role::quarantined;
  effects.quarantined = why;
}

// --- inputs of either ----------------------------------------------------------------------------

void replica::tick(steady_time now, replica_effects& effects) {
  if (role_ == replica_role::quarantined) {
    return;
  }
  if (record().version == 0) {  // it says nothing to anybody before it has read the record
    if (now >= asked_at_ + settings_.retry_interval) {
      effects.read_record = true;
      asked_at_ = now;
    }
  } else if (leads()) {
    tick_leading(now, effects);
  } else {
    tick_following(now, effects);
  }
  if (now >= learnt_at_ + settings_.read_interval) {
    effects.read_record = true;
    learnt_at_ = now;
  }
  ticked_at_ = now;
}

void replica::receive(const replica_message& message, steady_time now, replica_effects& effects) {
  if (set_aside_) {
    // Whoever leads has what the partition goes on with: this copy is not needed any more.
    const auto* const beacon = std::get_if<beacon_message>(&message);
    if (beacon != nullptr && beacon->from.id == record().primary &&
        beacon->epoch == record().epoch && !standing_) {
      quarantine(*set_aside_, effects);
    }
  } else if (role_ != replica_role::quarantined && record().version != 0) {
    std::visit([&](const auto& each) { on(each, now, effects); }, message);
  }
}

void replica::place(std::uint64_t position, std::size_t count) {
  for (auto seq = log_.tail().seq - count + 1; seq <= log_.tail().seq; ++seq) {
    log_.place(seq, position++);
  }
}

void replica::durable(replica_effects& effects) {
  durable_ = log_.tail().seq;
  durable_promise_ = state_.promised_epoch;
  const bool range_came = std::exchange(intake_unwritten_, false);
  if (!leads()) {
    if (range_came && intake_.is_open() && primary_.id != copy_id{}) {
      fetch(effects);
    }
    learn_committed();
    if (std::min(durable_, matched_) > acknowledged_) {
      acknowledge(effects);
    }
    return;
  }
  for (auto& each : peers_.all()) {
    ship(each, effects);
  }
  effects.wants_barrier = role_ == replica_role::recovering && barrier_ == 0;
  advance();
}

// Of a primary, others may have what its own disk has not.
void replica::write_failed(steady_time now, replica_effects& effects) {
  if (leads()) {
    release({}, now, effects);
  } else if (primary_.id != copy_id{}) {
    effects.messages.push_back({primary_, refused_message{self_, state_.promised_epoch}});
  }
  if (intake_unwritten_) {
    log_ = partition_log{log_.partition()};
    state_.checkpointed = {};
    committed_ = durable_ = 0;
    intake_.begin();
  }
  log_.cut_above(std::min(durable_, log_.tail().seq));
  matched_ = std::min(matched_, log_.tail().seq);
  effects.persist = true;
}

void replica::checkpointed(const log_tail& tail) {
  MILLRACE_ASSERT(tail.seq <= committed_);
  state_.checkpointed = tail;
}

void replica::digested(std::uint64_t seq, std::uint64_t digest, replica_effects& effects) {
  if (leads()) {
    if (comparison_.seq == seq) {
      comparison_.own = digest;
      judge();
    }
  } else if (digest_wanted_ && digest_wanted_->seq == seq && primary_.id != copy_id{}) {
    const auto asked = *std::exchange(digest_wanted_, {});
    effects.messages.push_back(
        {primary_, compared_message{self_, asked.epoch, asked.comparison, digest}});
  }
}

}  // namespace millrace::runtime
