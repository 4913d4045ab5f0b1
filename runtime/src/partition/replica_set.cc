// SPDX-License-Identifier: MIT
// How a primary keeps its in-sync set: who leaves, who joins, when it gives up.
#include <algorithm>

#include "partition/planted_bug.h"
#include "partition/replica.h"

namespace millrace::runtime {
namespace {

// Learners that are silent for so many times `eject_after` are forgotten.
constexpr int silence_max = 8;
// The digests of rows are waited for as many times `retry_interval`.
constexpr int compare_patience = 8;

bool is_same_change(const partition_record& one, const partition_record& other) {
  return one.in_sync == other.in_sync && one.in_sync_min == other.in_sync_min &&
         one.eligible == other.eligible && one.state == other.state;
}

}  // namespace

void replica::tick_leading(steady_time now, replica_effects& effects) {
  const auto gap_min = 2 * settings_.beacon_interval;
  peers_.note_tail(log_.tail().seq, now, settings_.eject_after);
  peers_.excuse(now - ticked_at_ > gap_min, now, settings_.eject_after, now + gap_min);
  std::erase_if(peers_.all(), [&](const peer& each) {
    return !each.counts && !each.may_lead &&
           each.heard_at + silence_max * settings_.eject_after <= now &&
           peers_.is_overdue(each, now, settings_.eject_after);
  });
  if (has_to_abdicate(now)) {
    abdicate(now, effects);
    return;
  }
  help_learners(now, effects);
  propose(now, effects);
  if (now >= beacons_due_) {
    send_beacons(now, effects);
    beacons_due_ = now + settings_.beacon_interval;
  }
  if (record().in_sync.size() >= settings_.copies) {
    short_since_.reset();
  } else if (!short_since_) {
    short_since_ = now;
  }
  const auto patience =
      settings_.replace_after + (set_.has_minimum() ? settings_.await_for : duration{});
  effects.wants_copy = short_since_ && now >= *short_since_ + patience;
  if (successor_ && committed_ == log_.tail().seq) {
    release(*std::exchange(successor_, {}), now, effects);
  }
}

// Its set is not whole, or too small to write, and the store does not let it change that. Others
// may have better luck: also where the store is only slow, since a takeover goes before the changes
// of sets that it is behind with.
bool replica::has_to_abdicate(steady_time now) {
  const auto& peers = peers_.all();
  const bool lacks_answers = std::any_of(peers.begin(), peers.end(), [&](const peer& each) {
    return each.counts && peers_.is_overdue(each, now, settings_.eject_after);
  });
  const bool blocked = lacks_answers || (set_.pending() && !set_.has_minimum());
  if (!blocked) {
    blocked_since_.reset();
  } else if (!blocked_since_) {
    blocked_since_ = now;
  }
  return blocked_since_ && now >= *blocked_since_ + settings_.abdicate_after;
}

void replica::note_ejected(const partition_record& before, steady_time now) {
  for (const auto& each : before.in_sync) {
    if (contains(record().in_sync, each)) {
      continue;
    }
    if (each.id != let_go_) {
      flaps_.ejected(each, now);
    }
    if (auto* const out = peers_.find(each)) {
      out->start_over();
    }
  }
}

// --- learners ------------------------------------------------------------------------------------

// In order: its log has caught up, its rows are the same, commits wait for it, it has everything
// from then on. Then it may join. One that was silent meanwhile may have come back with less: even
// if it was asked into the set, it is not asked again before it has shown all that once more. One
// that flaps stays out for a while, but below the minimum, where nothing is committed without it.
void replica::help_learners(steady_time now, replica_effects& effects) {
  auto& peers = peers_.all();
  const auto is_joining = [&](const peer& each) {
    return each.required_from && !set_.counts(each.copy);
  };
  // A copy that has told nothing in this epoch does not follow it yet. Entries may have been on
  // their way to it for half of the time in which a member has to have them: it shares its lane.
  const auto recent = std::max<std::uint64_t>(1, peers_.tail_at(now - settings_.eject_after / 2));
  peer* next = nullptr;
  for (auto& each : peers) {
    if (contains(record().in_sync, each.copy)) {
      continue;
    }
    if (keeps_too_much(each)) {
      each.kept_from = each.needs_from() + 1;
      each.snapshot_base = 0;
      each.start_over();
      find_others(now, effects);
      advance();
      continue;
    }
    if (peers_.is_overdue(each, now, settings_.eject_after)) {
      if (each.damaged && !set_.counts(each.copy)) {
        effects.messages.push_back({each.copy, discard_message{self_, record().epoch}});
      }
      each.start_over();
      find_others(now, effects);
      advance();
      continue;
    }
    if (set_.counts(each.copy) || record().in_sync.size() >= members_max() ||
        (set_.has_minimum() && !flaps_.may_join(each.copy, now)) || each.prepared < recent) {
      continue;
    }
    if (!each.verified && !planted(bug::c4_skips_digest)) {
      // First who has waited longest: one that never answers holds up nobody for good.
      next = next == nullptr || each.compared_at < next->compared_at ? &each : next;
    } else if (std::none_of(peers.begin(), peers.end(), is_joining)) {
      each.required_from = log_.tail().seq;
      find_others(now, effects);
    }
  }
  compare(next, now, effects);
}

// What a learner needs of the log may be as much as the rows that it was sent, since these would be
// sent once more instead. What is in no checkpoint is kept anyway: to let go of that is of no use,
// and a primary that recovers cannot commit it before the learner is there.
bool replica::keeps_too_much(const peer& one) const {
  const auto from = std::max(one.needs_from(), log_.base().seq);
  const auto until = state_.checkpointed.seq;
  return one.pins_log() && from < until &&
         log_.bytes_above(from) - log_.bytes_above(until) >
             std::max<std::uint64_t>(settings_.learner_log_bytes_max, one.snapshot_bytes);
}

peer* replica::compared() noexcept {
  auto& all = peers_.all();
  const auto found = std::find_if(all.begin(), all.end(), [&](const peer& each) {
    return each.comparison == comparison_.number && !each.verified && !each.damaged;
  });
  return comparison_.number == 0 || found == all.end() ? nullptr : &*found;
}

void replica::compare(peer* next, steady_time now, replica_effects& effects) {
  auto* learner = compared();
  if (learner != nullptr && now < comparison_.began + compare_patience * settings_.retry_interval) {
    if (comparison_.other || now < comparison_.asked + settings_.retry_interval) {
      return;
    }
    // It was lost on the way, or the answer. Where nothing was committed since, it is not too late.
  } else if (next == nullptr) {
    return;
  } else {
    learner = next;
    comparison_ = {.number = ++comparisons_, .seq = committed_, .began = now};
    learner->comparison = comparison_.number;
    learner->compared_at = now;
    effects.digest_at = committed_;
  }
  comparison_.asked = now;
  effects.messages.push_back(
      {learner->copy, compare_message{self_, record().epoch, comparison_.number, comparison_.seq}});
}

void replica::judge() noexcept {
  auto* const learner = compared();
  if (learner != nullptr && comparison_.own && comparison_.other) {
    learner->verified = *comparison_.own == *comparison_.other;
    learner->damaged = !learner->verified;
    learner->snapshot_base = 0;
  }
}

// Only of the copy that is compared, and not of what it had before it came back with less.
void replica::on(const compared_message& message, steady_time now, replica_effects&) {
  auto* const told = hear(message.from, message.epoch, now);
  if (told != nullptr && told == compared() && message.comparison == comparison_.number) {
    comparison_.other = message.digest;
    judge();
  }
}

void replica::on(const fetch_message& message, steady_time now, replica_effects& effects) {
  auto* const told = hear(message.from, message.epoch, now);
  if (told != nullptr && !told->may_lead) {
    effects.ranges.push_back({told->copy, message.base, message.first});
  }
}

void replica::send_range(const replica_effects::range_read& wanted, std::string rows,
                         std::string next, std::uint64_t applied, replica_effects& effects) {
  auto* const to = leads() ? peers_.find(wanted.to) : nullptr;
  // The snapshot began with what another primary had applied and this one has not.
  const bool began_ahead = applied < wanted.base.seq;
  if (to == nullptr || (began_ahead && set_.has_minimum()) || applied < log_.base().seq) {
    // It will have applied that soon, or the journal was trimmed while the rows were read: the copy
    // asks again.
    return;
  }
  MILLRACE_ASSERT(applied <= committed_);
  const auto kept_from = std::max(log_.base().seq, to->kept_from);
  if (began_ahead || (!wanted.first.empty() && wanted.base.seq < kept_from)) {
    // The log cannot make the ranges one, or soon could not; below the minimum nothing is committed
    // before this copy has rows.
    effects.messages.push_back({to->copy, snapshot_message{self_, record().epoch, wanted.base}});
    return;
  }
  const auto base = wanted.first.empty() ? log_.at(applied) : wanted.base;
  if (wanted.first.empty()) {
    to->start_over();  // other rows take the place of those that it had
    to->snapshot_bytes = 0;
    to->kept_from = 0;
  }
  to->snapshot_base = base.seq;
  to->snapshot_bytes += rows.size();
  effects.messages.push_back(
      {to->copy, range_message{self_, state_.data_loss_no, record().epoch, base, applied,
                               wanted.first, std::move(next), std::move(rows)}});
}

std::optional<placed_copy> replica::member_to_let_go() const {
  const auto& set = record().in_sync;
  const auto found = std::find_if(set.begin(), set.end(), [this](const placed_copy& each) {
    return each.id == let_go_ && each.id != state_.id;
  });
  return found != set.end() ? std::optional{*found} : std::nullopt;
}

// One more than there should be while one of them is to go.
std::size_t replica::members_max() const {
  return settings_.copies + (member_to_let_go() ? 1 : 0);
}

// --- changes of the record -----------------------------------------------------------------------

partition_record replica::wanted_record(steady_time now) const {
  auto wanted = record();
  std::vector<placed_copy> leaving;
  for (const auto& each : peers_.all()) {
    const bool goes = peers_.is_overdue(each, now, settings_.eject_after);
    if (goes && contains(wanted.in_sync, each.copy)) {
      leaving.push_back(each.copy);
    }
  }
  remove(wanted, leaving);
  for (const auto& each : peers_.all()) {
    if (each.damaged) {
      std::erase_if(wanted.eligible, [&](const auto& one) { return is_same(one, each.copy); });
    }
    const bool is_ready =
        planted(bug::s3_adds_before_required)
            ? each.verified && !peers_.is_overdue(each, now, settings_.eject_after)
            : each.required_from && each.prepared >= *each.required_from &&
                  !peers_.is_overdue(each, now, settings_.eject_after);
    if (leaving.empty() && is_ready && !contains(wanted.in_sync, each.copy) &&
        wanted.in_sync.size() < members_max()) {
      add(wanted, each.copy);
    }
  }
  // By the record, so that whoever came in its place is known to be there.
  if (const auto goes = member_to_let_go();
      goes && leaving.empty() && record().in_sync.size() > settings_.copies) {
    remove(wanted, {*goes});
  }
  // A partition begins with one copy. Once it has had all that it should have, it never goes on
  // with so few again.
  if (wanted.in_sync.size() >= settings_.copies && settings_.copies > 1) {
    wanted.in_sync_min = std::max(wanted.in_sync_min, settings_.copies - 1);
  }
  if (role_ == replica_role::primary) {
    wanted.state = partition_state::active;
  }
  return wanted;
}

void replica::propose(steady_time now, replica_effects& effects) {
  auto wanted = wanted_record(now);
  const auto& pending = set_.pending();
  const bool is_floor_due =
      committed_ > record().commit_floor && now >= floor_at_ + settings_.floor_interval;
  if (!pending) {
    if (!is_same_change(wanted, record()) || is_floor_due) {
      ask(std::move(wanted), now, effects);
    }
  } else if (!is_same_change(*pending, wanted)) {
    effects.read_record = true;
    ask(std::move(wanted), now, effects);
  } else if (now >= asked_at_ + settings_.retry_interval) {
    effects.read_record = true;
    effects.change = pending;
    asked_at_ = now;
  }
}

void replica::ask(partition_record wanted, steady_time now, replica_effects& effects) {
  wanted.commit_floor = std::max(record().commit_floor, committed_);
  wanted.nonce = next_nonce();
  set_.ask(wanted);
  find_others(now, effects);
  effects.change = std::move(wanted);
  asked_at_ = now;
}

}  // namespace millrace::runtime
