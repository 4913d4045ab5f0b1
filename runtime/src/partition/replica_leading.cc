// SPDX-License-Identifier: MIT
// What a primary does with entries, and with what the other copies tell it.
#include <algorithm>

#include "partition/planted_bug.h"
#include "partition/replica.h"

namespace millrace::runtime {
namespace {

constexpr std::size_t peers_max = 16;  // learners come uninvited

}  // namespace

void replica::find_others(steady_time now, replica_effects& effects) {
  if (!leads()) {
    return;
  }
  const bool was_alone = peers_.empty();
  const auto add = [&](const placed_copy& copy) {
    if (copy.id != state_.id && peers_.find(copy) == nullptr) {
      // What it lacks shows when the next entry does not fit.
      peers_.add(copy, log_.tail().seq, now);
    }
  };
  const auto members = set_.members();
  std::for_each(members.begin(), members.end(), add);
  std::for_each(record().eligible.begin(), record().eligible.end(), add);
  for (auto& each : peers_.all()) {
    const bool is_member = contains(members, each.copy);
    each.counts = is_member || each.required_from;
    each.may_lead = is_member || contains(record().eligible, each.copy);
  }
  effects.persist = effects.persist || (was_alone && !peers_.empty());
}

// --- entries -------------------------------------------------------------------------------------

void replica::append(std::string_view ops, std::uint64_t position, std::string& out,
                     replica_effects& effects) {
  MILLRACE_ASSERT(leads());
  log_.append(record().epoch, position, ops, out);
  if (role_ == replica_role::recovering && barrier_ == 0) {
    barrier_ = log_.tail().seq;
  }
  for (auto& each : peers_.all()) {
    ship(each, effects);
  }
  if (planted(bug::w4_commits_without_own)) {
    durable_ = log_.tail().seq;
    advance();
  }
}

void replica::withdraw_above(std::uint64_t seq) {
  MILLRACE_ASSERT(leads() && peers_.empty() && seq >= durable_);
  log_.cut_above(seq);
}

// Not before the promise is on the disk: after a crash the epoch could be led once more, with other
// entries.
void replica::ship(peer& to, replica_effects& effects) {
  if (durable_promise_ == record().epoch && to.shipped < log_.tail().seq) {
    effects.shipments.push_back({to.copy, to.shipped + 1, log_.tail().seq});
    to.shipped = log_.tail().seq;
  }
}

void replica::advance() noexcept {
  if (!set_.has_minimum()) {
    return;
  }
  committed_ = std::max(committed_, peers_.everywhere(durable_));
  if (role_ == replica_role::recovering && barrier_ != 0 && committed_ >= barrier_) {
    role_ = replica_role::primary;
  }
}

// --- what the others tell ------------------------------------------------------------------------

peer* replica::hear(const placed_copy& from, std::uint64_t epoch, steady_time now) {
  auto* const told = leads() && epoch == record().epoch ? peers_.find(from) : nullptr;
  if (told != nullptr) {
    told->heard_at = now;
  }
  return told;
}

void replica::on(const prepared_message& message, steady_time now, replica_effects& effects) {
  auto* const told = hear(message.from, message.epoch, now);
  if (told == nullptr) {
    return;
  }
  const bool is_trusted = planted(bug::w4_counts_any_epoch);
  const auto seq = is_trusted ? std::min(message.tail.seq, log_.tail().seq) : message.tail.seq;
  if (seq > log_.tail().seq) {
    quarantine(damage::differs, effects);  // it has what this primary sent, and has no more
    return;
  }
  if (seq >= log_.base().seq && log_.at(seq) != message.tail && !is_trusted) {
    told->damaged = true;
    return;
  }
  if (seq > told->prepared) {
    told->prepared = seq;
    told->refused = false;
  }
  // A new primary may not know of the last things that the old one has told somebody.
  committed_ = std::max(committed_, std::min({message.committed, seq, durable_}));
  advance();
}

void replica::on(const behind_message& message, steady_time now, replica_effects& effects) {
  if (!leads() || message.epoch > record().epoch) {
    return;
  }
  if (message.epoch < record().epoch) {
    send_beacon(message.from, now, effects);  // so that it promises this epoch, and asks again
    return;
  }
  auto* told = peers_.find(message.from);
  if (told == nullptr && planted(bug::s3_takes_silo_for_copy)) {
    for (auto& each : peers_.all()) {
      if (each.copy.silo == message.from.silo && !runtime::is_complete(record(), each.copy)) {
        each.copy = message.from;
        told = &each;
      }
    }
  }
  if (told == nullptr) {
    if (peers_.all().size() >= peers_max) {
      return;
    }
    told = &peers_.add(message.from, log_.tail().seq, now);
    find_others(now, effects);
    effects.persist = effects.persist || durable_promise_ != record().epoch;
  }
  told->heard_at = now;
  const auto common = log_.common_with(message.lineage, message.tail);
  if (common.value_or(0) < told->prepared && !contains(record().in_sync, message.from) &&
      !planted(bug::s3_takes_silo_for_copy)) {
    told->start_over();  // it had more: its disk is an older one now, or the message is
  }
  if (told->may_lead && common.value_or(0) < record().commit_floor &&
      !planted(bug::s3_refills_lost)) {
    // It has lost what was committed. The store names it complete, or may by a change that is under
    // way: it has to see that by the record, and what it is sent now would hide it. If the change
    // never happens it is sent everything as a learner.
    return;
  }
  if (common) {
    told->shipped = *common;
    ship(*told, effects);
  } else if (!told->may_lead) {  // the log holds whatever a member can lack: this is an old message
    told->start_over();
    effects.messages.push_back(
        {message.from, snapshot_message{self_, record().epoch, message.tail}});
  }
}

void replica::on(const fenced_message& message, steady_time, replica_effects& effects) {
  if (leads() && message.promised_epoch > record().epoch) {
    step_down(effects);
    effects.read_record = true;
  }
}

void replica::on(const refused_message& message, steady_time now, replica_effects&) {
  if (auto* const told = hear(message.from, message.epoch, now)) {
    told->refused = true;
  }
}

// --- leave to answer reads -----------------------------------------------------------------------

void replica::send_beacon(const placed_copy& to, steady_time now, replica_effects& effects) const {
  if (durable_promise_ == record().epoch) {
    effects.messages.push_back(
        {to, beacon_message{self_, state_.data_loss_no, record().epoch, record().version,
                            committed_, log_.tail(), now}});
  }
}

void replica::send_beacons(steady_time now, replica_effects& effects) {
  for (const auto& each : peers_.all()) {
    send_beacon(each.copy, now, effects);
  }
}

void replica::on(const grant_message& message, steady_time now, replica_effects&) {
  auto* const told = hear(message.from, message.epoch, now);
  if (told == nullptr) {
    return;
  }
  told->confirmed_at = std::max(told->confirmed_at, message.beacon_sent_at);
  if (message.lease) {
    const auto from = planted(bug::r1_lease_from_answer) ? now : message.beacon_sent_at;
    told->granted_until = std::max(told->granted_until, from + settings_.lease);
  }
}

// --- stopping ------------------------------------------------------------------------------------

void replica::release(const copy_id& successor, steady_time now, replica_effects& effects) {
  for (const auto& each : peers_.all()) {
    if (each.may_lead) {
      effects.messages.push_back({each.copy, release_message{self_, record().epoch, successor}});
    }
  }
  step_down(effects);
  leases_.stay_away(now + settings_.guard);  // the others first
}

void replica::hand_over(const copy_id& to, steady_time now, replica_effects& effects) {
  MILLRACE_ASSERT(role_ == replica_role::primary);
  successor_ = to;
  if (committed_ == log_.tail().seq) {
    release(*std::exchange(successor_, {}), now, effects);
  }
}

void replica::abdicate(steady_time now, replica_effects& effects) {
  if (leads()) {
    release({}, now, effects);
    effects.read_record = true;
  }
}

void replica::silo_died(const std::string& silo) {
  for (auto& each : peers_.all()) {
    each.refused = each.refused || each.copy.silo == silo;
  }
}

}  // namespace millrace::runtime
