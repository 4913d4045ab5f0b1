// SPDX-License-Identifier: MIT
#include "partition/replica.h"

#include <algorithm>

namespace millrace::runtime {
namespace {

bool contains(const std::vector<copy_id>& set, const copy_id& id) {
  return std::find(set.begin(), set.end(), id) != set.end();
}

}  // namespace

void replica_effects::clear() {
  messages.clear();
  shipments.clear();
  too_far_behind.clear();
  damaged.clear();
  erased.clear();
  entries.clear();
  persist = wants_barrier = lost_primacy = is_damaged = false;
}

// What the checkpoint holds was committed; of what lies above only a record or a primary can tell.
replica::replica(const copy_state& state, partition_log log, lease_times times, steady_time now)
    : state_(state),
      log_(std::move(log)),
      times_(times),
      committed_(state.checkpointed.seq),
      promise_found_(std::max(state.promised_epoch, log_.tail().epoch)),
      durable_(log_.tail().seq),
      durable_promise_(state.promised_epoch),
      matched_(committed_),
      life_guarded_until_(now + times.guard) {
  MILLRACE_ASSERT(times.lease < times.guard);
  state_.promised_epoch = promise_found_;  // an entry is a promise of its epoch, too
}

bool replica::may_answer(steady_time now) const noexcept {
  return role_ == replica_role::primary &&
         std::all_of(others_.begin(), others_.end(),
                     [now](const member& each) { return now < each.granted_until; });
}

replica::member* replica::find(const copy_id& id) noexcept {
  const auto found = std::find_if(others_.begin(), others_.end(),
                                  [&](const member& each) { return each.id == id; });
  return found == others_.end() ? nullptr : &*found;
}

replica::member* replica::find(const copy_id& id, std::uint64_t epoch) noexcept {
  return leads() && epoch == record_.epoch ? find(id) : nullptr;
}

void replica::follow(const copy_id& primary) noexcept {
  primary_ = primary;
  matched_ = committed_;
  primary_committed_ = 0;
  acknowledged_ = 0;
  has_told_behind_ = false;
}

void take_over_alone(replica& copy, steady_time now) {
  replica_effects none;
  partition_record record;
  record.version = 1;
  record.primary = copy.state().id;
  record.in_sync = {copy.state().id};
  copy.learn(record, none);
  auto won = copy.take_over(now);
  MILLRACE_ASSERT(won);
  ++won->version;
  copy.learn(*won, none);
  MILLRACE_ASSERT(copy.role() == replica_role::primary && !none.persist);
}

// --- the record ----------------------------------------------------------------------------------

// Whoever the record names primary had waited before it stood. If it went on to promise the epoch
// on its disk, no life since has granted anything to an older one: it need not wait again.
std::optional<partition_record> replica::take_over(steady_time now) {
  const bool was_primary = record_.primary == state_.id;
  const bool must_wait = !was_primary || promise_found_ < record_.epoch;
  if (leads() || record_.version == 0 || record_.data_loss_no != state_.data_loss_no ||
      !contains(record_.in_sync, state_.id) || log_.tail().seq < record_.commit_floor ||
      now < guarded_until_ || (must_wait && now < life_guarded_until_)) {
    return std::nullopt;
  }
  auto wanted = record_;
  wanted.epoch = std::max(record_.epoch, state_.promised_epoch) + 1;
  wanted.primary = state_.id;
  wanted.commit_floor = std::max(record_.commit_floor, committed_);
  if (!was_primary) {
    std::erase(wanted.in_sync, record_.primary);
  }
  stands_for_ = wanted.epoch;
  return wanted;
}

void replica::learn(const partition_record& record, replica_effects& effects) {
  if (record.version <= record_.version) {
    return;
  }
  const bool is_mine = record.primary == state_.id;
  const bool has_won = is_mine && stands_for_ != 0 && record.epoch == stands_for_;
  const bool goes_on = is_mine && leads() && record.epoch == record_.epoch;
  record_ = record;
  // What compared with an older version can no longer succeed.
  wanted_in_sync_.clear();
  stands_for_ = 0;
  const bool lacks_committed =
      contains(record.in_sync, state_.id) && log_.tail().seq < record.commit_floor;
  if (record.data_loss_no != state_.data_loss_no || lacks_committed) {
    step_down(effects);
    effects.is_damaged = true;
  } else if (goes_on) {
    find_others(effects);
    advance();
  } else {
    step_down(effects);
    if (has_won) {
      lead(effects);
    } else if (record.epoch > state_.promised_epoch) {
      state_.promised_epoch = record.epoch;  // whoever led before must not be granted anything more
      effects.persist = true;
      follow({});
    }
  }
}

// Until one of the changes is known to have won, any of them may have.
void replica::change_in_flight(const std::vector<copy_id>& in_sync, replica_effects& effects) {
  wanted_in_sync_.insert(wanted_in_sync_.end(), in_sync.begin(), in_sync.end());
  find_others(effects);
}

void replica::lead(replica_effects& effects) {
  role_ = replica_role::recovering;
  state_.promised_epoch = record_.epoch;
  barrier_ = 0;
  others_.clear();
  find_others(effects);
  if (others_.empty() && record_.in_sync_min <= 1) {
    // Nobody else can have promised or committed anything: what its disk has is all there is, and
    // the promise is as good as on the disk with the first entry of the epoch.
    role_ = replica_role::primary;
    advance();
  }
}

void replica::find_others(replica_effects& effects) {
  const bool was_alone = others_.empty();
  auto wanted = record_.in_sync;
  for (const auto& each : wanted_in_sync_) {
    if (!contains(wanted, each)) {
      wanted.push_back(each);
    }
  }
  std::erase_if(others_, [&](const member& each) { return !contains(wanted, each.id); });
  for (const auto& each : wanted) {
    if (each != state_.id && find(each) == nullptr) {
      // What it lacks shows when the next entry does not fit.
      others_.push_back({each, 0, log_.tail().seq, {}});
    }
  }
  effects.persist = effects.persist || (was_alone && !others_.empty());
}

void replica::step_down(replica_effects& effects) {
  if (!leads()) {
    return;
  }
  role_ = replica_role::backup;
  others_.clear();
  wanted_in_sync_.clear();
  follow({});
  effects.lost_primacy = true;
}

// --- entries of the primary ----------------------------------------------------------------------

void replica::append(std::string_view ops, std::uint64_t position, std::string& out,
                     replica_effects& effects) {
  MILLRACE_ASSERT(leads());
  log_.append(record_.epoch, position, ops, out);
  if (role_ == replica_role::recovering && barrier_ == 0) {
    barrier_ = log_.tail().seq;
  }
  for (auto& each : others_) {
    ship(each, effects);
  }
}

void replica::withdraw_above(std::uint64_t seq) {
  MILLRACE_ASSERT(leads() && others_.empty() && seq >= durable_);
  log_.cut_above(seq);
}

// Not before the promise is on the disk: after a crash the epoch could be led once more, with other
// entries.
void replica::ship(member& to, replica_effects& effects) {
  if (durable_promise_ == record_.epoch && to.shipped < log_.tail().seq) {
    effects.shipments.push_back({to.id, to.shipped + 1, log_.tail().seq});
    to.shipped = log_.tail().seq;
  }
}

void replica::durable(replica_effects& effects) {
  durable_ = log_.tail().seq;
  durable_promise_ = state_.promised_epoch;
  if (!leads()) {
    learn_committed();
    if (std::min(durable_, matched_) > acknowledged_) {
      acknowledge(effects);
    }
    return;
  }
  for (auto& each : others_) {
    ship(each, effects);
  }
  effects.wants_barrier = role_ == replica_role::recovering && barrier_ == 0;
  advance();
}

void replica::advance() noexcept {
  if (others_.size() + 1 < record_.in_sync_min) {
    return;
  }
  auto everywhere = durable_;
  for (const auto& each : others_) {
    everywhere = std::min(everywhere, each.prepared);
  }
  committed_ = std::max(committed_, everywhere);
  if (role_ == replica_role::recovering && barrier_ != 0 && committed_ >= barrier_) {
    role_ = replica_role::primary;
  }
}

void replica::checkpointed(const log_tail& tail) {
  MILLRACE_ASSERT(tail.seq <= committed_);
  state_.checkpointed = tail;
}

void replica::place(std::uint64_t position, std::size_t count) {
  for (auto seq = log_.tail().seq - count + 1; seq <= log_.tail().seq; ++seq) {
    log_.place(seq, position++);
  }
}

void replica::on(const prepared_message& message, steady_time, replica_effects& effects) {
  auto* const told = find(message.from, message.epoch);
  const auto seq = message.tail.seq;
  if (told == nullptr) {
    return;
  }
  if (seq > log_.tail().seq) {
    effects.is_damaged = true;  // it has from this primary what this primary has no more
    return;
  }
  if (seq >= log_.base().seq && log_.at(seq) != message.tail) {
    effects.damaged.push_back(message.from);
    return;
  }
  told->prepared = std::max(told->prepared, seq);
  advance();
}

void replica::on(const behind_message& message, steady_time, replica_effects& effects) {
  auto* const told = find(message.from, message.epoch);
  if (told == nullptr) {
    return;
  }
  const auto common = log_.common_with(message.lineage, message.tail);
  if (!common) {
    effects.too_far_behind.push_back(message.from);
    return;
  }
  told->shipped = *common;
  ship(*told, effects);
}

void replica::on(const fenced_message& message, steady_time, replica_effects& effects) {
  if (leads() && message.promised_epoch > record_.epoch) {
    step_down(effects);
  }
}

void replica::send_beacons(steady_time now, replica_effects& effects) {
  for (const auto& each : others_) {
    effects.messages.push_back(
        {each.id, beacon_message{state_.id, state_.data_loss_no, record_.epoch, committed_,
                                 log_.tail(), now}});
  }
}

void replica::on(const grant_message& message, steady_time, replica_effects&) {
  auto* const told = find(message.from, message.epoch);
  if (told != nullptr) {
    told->granted_until = std::max(told->granted_until, message.beacon_sent_at + times_.lease);
  }
}

// --- entries of a backup -------------------------------------------------------------------------

void replica::receive(const replica_message& message, steady_time now, replica_effects& effects) {
  std::visit([&](const auto& each) { on(each, now, effects); }, message);
}

bool replica::heed(const copy_id& from, std::uint64_t data_loss_no, std::uint64_t epoch,
                   replica_effects& effects) {
  if (data_loss_no != state_.data_loss_no || from == state_.id) {
    return false;
  }
  if (epoch < state_.promised_epoch || (leads() && epoch <= record_.epoch)) {
    effects.messages.push_back({from, fenced_message{state_.id, state_.promised_epoch}});
    return false;
  }
  if (epoch == state_.promised_epoch && primary_ != copy_id{} && primary_ != from) {
    effects.is_damaged = true;  // an epoch has one primary
    return false;
  }
  if (epoch > state_.promised_epoch || primary_ != from) {
    step_down(effects);
    state_.promised_epoch = epoch;
    effects.persist = true;
    follow(from);
  }
  return true;
}

void replica::on(const prepare_message& message, steady_time, replica_effects& effects) {
  if (!heed(message.from, message.data_loss_no, message.epoch, effects)) {
    return;
  }
  const auto entry = decode_entry(message.entry);
  if (!entry || entry->partition != log_.partition() || entry->epoch > message.epoch) {
    return;  // links carry checksums: it was wrong when it was sent
  }
  if (take(*entry, message.entry, effects)) {
    matched_ = std::max(matched_, entry->seq);
    has_told_behind_ = false;
    primary_committed_ = std::max(primary_committed_, message.committed);
    learn_committed();
  } else if (!effects.is_damaged) {
    tell_what_is_here(effects);
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
    effects.is_damaged = true;
    return false;
  }
  for (auto each = log_.tail().seq; each >= seq; --each) {
    if (const auto position = log_.position_of(each); position != 0) {
      effects.erased.push_back(position);
    } else {
      effects.entries.pop_back();  // it was not even written
    }
  }
  log_.cut_above(seq - 1);
  durable_ = std::min(durable_, seq - 1);
  matched_ = std::min(matched_, seq - 1);
  return true;
}

void replica::tell_what_is_here(replica_effects& effects) {
  if (has_told_behind_) {
    return;
  }
  has_told_behind_ = true;
  const auto lineage = log_.lineage();
  effects.messages.push_back(
      {primary_,
       behind_message{
           state_.id, state_.promised_epoch, log_.tail(), {lineage.begin(), lineage.end()}}});
}

// Only what is on the disk, under a promise that is: an entry that was there before this epoch
// counts once the primary was seen to have it.
void replica::acknowledge(replica_effects& effects) {
  const auto seq = std::min(durable_, matched_);
  if (primary_ == copy_id{} || durable_promise_ != state_.promised_epoch || seq < log_.base().seq) {
    return;
  }
  acknowledged_ = seq;
  effects.messages.push_back(
      {primary_, prepared_message{state_.id, state_.promised_epoch, log_.at(seq)}});
}

// No more than is on its own disk: a checkpoint of it must not be ahead of its journal.
void replica::learn_committed() noexcept {
  committed_ = std::max(committed_, std::min({primary_committed_, matched_, durable_}));
}

void replica::on(const beacon_message& message, steady_time now, replica_effects& effects) {
  if (!heed(message.from, message.data_loss_no, message.epoch, effects)) {
    return;
  }
  primary_committed_ = std::max(primary_committed_, message.committed);
  learn_committed();
  has_told_behind_ = false;
  if (matched_ < message.tail.seq) {
    tell_what_is_here(effects);
  }
  if (durable_promise_ == state_.promised_epoch && stands_for_ == 0) {
    guarded_until_ = now + times_.guard;
    acknowledge(effects);
    effects.messages.push_back(
        {primary_, grant_message{state_.id, message.epoch, message.sent_at}});
  }
}

}  // namespace millrace::runtime
