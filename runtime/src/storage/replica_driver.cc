// SPDX-License-Identifier: MIT
// Inputs and what is carried out of them at once. What goes to others: replica_sending.cc; to the
// disk: replica_disk.cc and replica_rows.cc.
#include "storage/replica_driver.h"

#include <algorithm>

#include "storage/replay.h"
#include "storage/storage_lost.h"

namespace millrace::runtime {
namespace {

constexpr duration tick_interval = std::chrono::milliseconds{50};
constexpr duration lag_step = std::chrono::milliseconds{100};
constexpr duration lag_noted = std::chrono::seconds{2};
constexpr duration unread_interval = std::chrono::minutes{1};

// Since when a copy lacks what the log has. The log's length is noted for as long as a copy may
// lack something; one that lacks it for longer is on its way into the set, or is not heard of.
duration lag_of(const peer& one, const peer_book& all, steady_time now) {
  auto lag = lag_step;
  while (lag < lag_noted && all.tail_at(now - lag) > one.prepared) {
    lag += lag_step;
  }
  return std::max(lag, now - one.heard_at);
}

const placed_copy* find_at(const partition_record& record, const std::string& silo) {
  const auto found = std::find_if(record.in_sync.begin(), record.in_sync.end(),
                                  [&](const placed_copy& each) { return each.silo == silo; });
  return found != record.in_sync.end() ? &*found : nullptr;
}

}  // namespace

replica_driver::replica_driver(const replica_driver_parts& parts, replication_host& host,
                               const replication_settings& settings, steady_time now)
    : parts_(parts), host_(host), work_(parts.copies.size()), now_(now) {
  settings_.silo = settings.silo;
  settings_.life = settings.incarnation << life_shift;
  settings_.copies = settings.copies;
  settings_.await_for = settings.replace_after;
  auto snapshot = parts_.rows.open_snapshot();
  if (!snapshot) {
    storage_lost(snapshot.error().text());
  }
  snapshot_ = std::move(*snapshot);
  for (std::uint16_t index = 0; index < parts_.copies.size(); ++index) {
    const partition_id partition{index};
    auto& copy = copy_of(partition);
    auto& own = at(partition);
    auto state = copy.state();
    own.is_void = is_void(state);
    if (own.is_void) {  // a snapshot was cut short: what is left of it goes
      state.checkpointed = {};
      own.effects.clear_rows = own.effects.persist = true;
      unstage(partition);
    }
    copy = replica{state, copy.log(), settings_, now};
  }
}

replica_driver::~replica_driver() = default;

placed_copy replica_driver::self(partition_id partition) {
  return {copy_of(partition).state().id, settings_.silo};
}

bool replica_driver::exists(partition_id partition) const noexcept {
  return static_cast<std::size_t>(partition) < work_.size();
}

// --- inputs --------------------------------------------------------------------------------------

void replica_driver::host(partition_id partition, bool wanted) {
  at(partition).is_hosted = wanted;
}

void replica_driver::receive(const std::string& silo, std::string_view frame, steady_time now) {
  auto items = decode_replica_frame(frame, silo);
  if (!items) {
    return tell_unread(silo, items.error(), now);
  }
  now_ = now;
  for (auto& each : *items) {
    const bool is_entry = std::holds_alternative<prepare_message>(each.message);
    if (exists(each.partition) && copy_of(each.partition).state().id == each.to &&
        takes_part(each.partition) && !(is_entry && now < blocked_until_)) {
      note_progress(each.partition, each.message);
      copy_of(each.partition).receive(each.message, now, at(each.partition).effects);
      settle(each.partition);
      tell_followed(each.partition);
    }
  }
}

void replica_driver::tell_unread(const std::string& silo, const error& why, steady_time now) {
  const auto [told, is_first] = unread_told_at_.try_emplace(silo, now);
  if (is_first || now >= told->second + unread_interval) {
    told->second = now;
    host_.cannot_read(silo, why);
  }
}

void replica_driver::session_ended(const std::string& silo) {
  catch_up_.erase(silo);  // who lacks something says so
}

void replica_driver::learn(partition_id partition, const partition_record& record,
                           steady_time now) {
  if (has_left_) {
    return;
  }
  now_ = now;
  auto& copy = copy_of(partition);
  auto& own = at(partition);
  const auto is_in = [&, here = self(partition)] { return contains(copy.record().in_sync, here); };
  const bool was_out = copy.record().version != 0 && !is_in();
  copy.learn(record, now, own.effects);
  if (was_out && is_in()) {
    ++(std::exchange(own.was_replaced, false) ? own.rejoins_by_snapshot : own.rejoins_by_tail);
  }
  settle(partition);
}

// The copy that is named has led the epoch of its last entry, if any: nobody has granted anything.
void replica_driver::found(partition_id partition) {
  const auto& copy = copy_of(partition);
  if (copy.record().version != 0 || at(partition).is_void) {
    return;
  }
  partition_record first;
  first.data_loss_no = copy.state().data_loss_no;
  first.epoch = copy.log().tail().epoch;
  first.primary = copy.state().id;
  first.in_sync = {self(partition)};
  first.commit_floor = copy.committed();
  first.nonce = settings_.life + (1U << life_shift) - ++foundings_;
  host_.change(partition, first, writes_wait::no);
}

// What is proven is that nobody answers any more who won his record in that life.
void replica_driver::silo_died(const std::string& silo, std::uint64_t incarnation, bool is_proven,
                               steady_time now) {
  now_ = now;
  if (!is_proven) {
    session_ended(silo);
  }
  for (std::uint16_t index = 0; index < parts_.copies.size(); ++index) {
    const partition_id partition{index};
    auto& copy = copy_of(partition);
    const auto& record = copy.record();
    const auto* const there = find_at(record, silo);
    const bool was_its = life_of(record) == incarnation;
    if (!is_proven) {
      copy.silo_died(silo);
    } else if (there != nullptr && there->id == record.primary && was_its) {
      copy.primary_died(record.primary, record.epoch, now, at(partition).effects);
    }
    settle(partition);
  }
}

void replica_driver::hand_over(partition_id partition, const std::string& to, steady_time now) {
  now_ = now;
  auto& copy = copy_of(partition);
  const auto* const there = find_at(copy.record(), to);
  if (copy.role() == replica_role::primary && there != nullptr && to != settings_.silo) {
    copy.hand_over(there->id, now, at(partition).effects);
    settle(partition);
  }
}

void replica_driver::abdicate(partition_id partition, steady_time now) {
  now_ = now;
  const auto& record = copy_of(partition).record();
  if (record.in_sync.size() < record.in_sync_min) {  // it may have become large enough meanwhile
    copy_of(partition).abdicate(now, at(partition).effects);
    settle(partition);
  }
}

void replica_driver::move_off(partition_id partition, const std::string& silo) {
  auto& copy = copy_of(partition);
  const auto* const there = find_at(copy.record(), silo);
  copy.let_go(there != nullptr ? std::optional{there->id} : std::nullopt);
}

void replica_driver::break_glass(partition_id partition, steady_time now) {
  if (at(partition).is_void || at(partition).effects.clear_rows) {
    return;  // there is nothing to lead with
  }
  now_ = now;
  copy_of(partition).break_glass(now, at(partition).effects);
  settle(partition);
}

// Nobody is told: the others have decided.
void replica_driver::leave() {
  has_left_ = true;
  for (std::uint16_t index = 0; index < parts_.copies.size(); ++index) {
    const partition_id partition{index};
    auto& own = at(partition);
    copy_of(partition).step_down(own.effects);
    own.effects.change.reset();
    own.effects.messages.clear();
    own.effects.read_record = false;
    settle(partition);
  }
}

std::vector<copy_status> replica_driver::status(steady_time now) {
  std::vector<copy_status> all;
  all.reserve(work_.size());
  for (std::uint16_t index = 0; index < parts_.copies.size(); ++index) {
    const auto& copy = copy_of(partition_id{index});
    const auto& own = at(partition_id{index});
    copy_status one{copy.record(), copy.state().id, copy.role(), copy.committed(),
                    copy.log().tail().seq};
    one.is_hosted = own.is_hosted;
    one.is_filled = !own.is_void && !own.effects.clear_rows && !copy.is_being_filled();
    one.is_aside = copy.set_aside().has_value();
    one.rejoins_by_tail = own.rejoins_by_tail;
    one.rejoins_by_snapshot = own.rejoins_by_snapshot;
    for (const auto& each : copy.peers().all()) {
      if (each.prepared < one.tail) {
        one.lag_entries = std::max(one.lag_entries, one.tail - each.prepared);
        one.lag = std::max(one.lag, lag_of(each, copy.peers(), now));
      }
    }
    all.push_back(std::move(one));
  }
  return all;
}

// What is not to be here is silent, but for whom somebody counts on, or who waits to hear that he
// may go.
bool replica_driver::takes_part(partition_id partition) {
  if (has_left_) {
    return false;
  }
  const auto& copy = copy_of(partition);
  return at(partition).is_hosted || copy.set_aside() || is_complete(copy.record(), self(partition));
}

void replica_driver::tick(steady_time now) {
  if (now < tick_due_) {
    return;
  }
  now_ = now;
  tick_due_ = now + tick_interval;
  for (std::uint16_t index = 0; index < parts_.copies.size(); ++index) {
    const partition_id partition{index};
    auto& copy = copy_of(partition);
    if (takes_part(partition)) {
      copy.tick(now, at(partition).effects);
      tell_shortage(partition);
      settle(partition);
    }
  }
}

// --- what follows from them ----------------------------------------------------------------------

void replica_driver::settle(partition_id partition) {
  carry_out(partition);
  if (const auto& wanted = at(partition).effects; !wanted.clear_rows && wanted.rows.empty()) {
    parts_.writer.advance(partition);
  }
  static_cast<void>(waits_for_digest(partition));
  parts_.copies.look_again(partition);
  publish(partition);
}

void replica_driver::carry_out(partition_id partition) {
  auto& own = at(partition);
  auto& wanted = own.effects;
  if (const auto why = std::exchange(wanted.quarantined, {})) {
    replace(partition, *why, now_);
    return;
  }
  if (const auto why = std::exchange(wanted.set_aside, {})) {
    host_.set_aside(partition, copy_of(partition).state().id, *why);
  }
  for (auto& each : std::exchange(wanted.messages, {})) {
    if (std::holds_alternative<discard_message>(each.message)) {
      forget({partition, each.to});
    }
    queue(partition, each.to, std::move(each.message));
  }
  for (const auto& each : std::exchange(wanted.shipments, {})) {
    ship(partition, each);
  }
  for (const auto& each : std::exchange(wanted.ranges, {})) {
    queue_of(each.to.silo, replica_lane::bulk).add_rows({partition, each.to}, each, now_);
  }
  if (wanted.digest_at) {
    own.digest_at = std::exchange(wanted.digest_at, {});
  }
  if (auto change = std::exchange(wanted.change, {})) {
    // Whoever is in the set by it may lead: nothing is answered without his leave from now on.
    show_lease(partition);
    const auto& copy = copy_of(partition);
    const bool waits = copy.committed() < copy.log().tail().seq;
    host_.change(partition, *change, writes_wait{waits});
  }
  if (std::exchange(wanted.read_record, false)) {
    host_.read(partition);
  }
  if (std::exchange(wanted.lost_primacy, false)) {
    lose(partition);
  }
  if (std::exchange(wanted.wants_barrier, false)) {
    own.wants_barrier = true;
  }
  if (wanted.clear_rows) {  // nothing is applied any more, wherever the log ends
    own.digest_at.reset();
    own.unapplied.clear();
    parts_.copies.replaced(partition);
  }
  if (wanted.persist || own.wants_barrier || wanted.clear_rows || !wanted.rows.empty() ||
      !wanted.erased.empty() || !wanted.entries.empty()) {
    unstage(partition);
  }
}

void replica_driver::tell_shortage(partition_id partition) {
  auto& own = at(partition);
  const bool lacks_copies = std::exchange(own.effects.wants_copy, false);
  if (lacks_copies && !own.lacks_copies) {
    host_.wants_copy(partition);
  }
  own.lacks_copies = lacks_copies;
}

void replica_driver::show_lease(partition_id partition) {
  const auto& copy = copy_of(partition);
  if (const auto epoch = at(partition).served; epoch != 0 && copy.role() == replica_role::primary) {
    parts_.leases[static_cast<std::size_t>(partition)].set(epoch, copy.answers_until());
  }
}

void replica_driver::unstage(partition_id partition) {
  if (!std::exchange(at(partition).is_unstaged, true)) {
    unstaged_.push_back(partition);
  }
}

// Once all that is committed is applied, and not before, may what is served look at the rows.
void replica_driver::publish(partition_id partition) {
  const auto& copy = copy_of(partition);
  const bool has_all = parts_.copies.applied(partition) >= copy.committed();
  if (copy.role() != replica_role::primary || (at(partition).served == 0 && !has_all)) {
    return;  // `lose` has seen to it; or a digest is due first, and then it comes here again
  }
  const auto epoch = copy.record().epoch;
  const bool is_new = std::exchange(at(partition).served, epoch) != epoch;
  show_lease(partition);
  if (is_new) {
    host_.leads(partition, epoch);
  }
}

void replica_driver::tell_followed(partition_id partition) {
  const auto& copy = copy_of(partition);
  const auto epoch = copy.state().promised_epoch;
  const bool follows = copy.role() == replica_role::backup && copy.followed().id != copy_id{};
  if (follows && epoch > at(partition).followed) {
    at(partition).followed = epoch;
    host_.follows(partition, epoch, copy.followed().silo);
  }
}

void replica_driver::lose(partition_id partition) {
  auto& own = at(partition);
  for (auto& [silo, queues] : catch_up_) {
    for (auto& queue : queues) {
      queue.forget(partition, now_);
    }
  }
  parts_.leases[static_cast<std::size_t>(partition)].set(0, {});
  own.wants_barrier = false;
  own.digest_at.reset();
  parts_.writer.outcome_unknown(partition);
  if (std::exchange(own.served, 0) != 0) {
    host_.lost(partition);
  }
}

// An empty copy takes the place of one that is not to be trusted.
void replica_driver::replace(partition_id partition, damage why, steady_time now) {
  auto& own = at(partition);
  auto& copy = copy_of(partition);
  const auto before = copy.state().id;
  lose(partition);
  const auto record = copy.record();
  const auto erased = std::exchange(own.effects.erased, {});
  own.effects.clear();
  own.effects.erased = erased;
  for (auto seq = copy.log().base().seq + 1; seq <= copy.log().tail().seq; ++seq) {
    if (const auto position = copy.log().position_of(seq); position != 0) {
      own.effects.erased.push_back(position);
    }
  }
  own.effects.clear_rows = own.effects.persist = true;
  copy_state state;
  state.id = mint_copy_id();
  state.data_loss_no = record.data_loss_no;
  copy = replica{state, partition_log{partition}, settings_, now};
  copy.learn(record, now, own.effects);
  carry_out(partition);
  host_.quarantined(partition, before, why);
}

}  // namespace millrace::runtime
