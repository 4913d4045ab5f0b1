// SPDX-License-Identifier: MIT
#include "cluster/cluster_book.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cluster/cluster_words.h"
#include "cluster/placement.h"

namespace millrace::runtime {

namespace {

// A silo that did not take over is handed nothing for so long, if there is a choice: it may be cut
// off from the store, and each try leaves a partition without a primary for two seconds.
constexpr duration unready_for = std::chrono::seconds{30};

void add(histogram& to, duration length) {
  const auto* const bound =
      std::lower_bound(histogram_bounds_ns.begin(), histogram_bounds_ns.end(), length.count());
  ++to.counts[static_cast<std::size_t>(bound - histogram_bounds_ns.begin())];
  to.sum += length;
}

bool is_same_life(const silo_row& one, const silo_row& other) {
  return one.incarnation == other.incarnation && one.address == other.address;
}

}  // namespace

std::string_view to_string(silo_state state) noexcept {
  switch (state) {
    case silo_state::joining:
      return "joining";
    case silo_state::active:
      return "active";
    case silo_state::draining:
      break;
  }
  return "draining";
}

cluster_book::cluster_book(cluster_book_settings settings)
    : settings_(std::move(settings)), partitions_(settings_.partition_count) {
  for (std::size_t index = 0; index < partitions_.size(); ++index) {
    partitions_[index].record.partition = partition_id{static_cast<std::uint16_t>(index)};
  }
}

bool cluster_book::is_alive(const silo_row& row) const {
  const auto found = dead_.find(row.name);
  return found == dead_.end() || found->second != row.incarnation;
}

bool cluster_book::takes_calls(const silo_row& row) const {
  const bool is_server = row.roles.state || row.roles.execute || row.name == settings_.silo;
  return is_server && row.state != silo_state::joining && is_alive(row);
}

bool cluster_book::may_hold_copies(const silo_row& row) const {
  return row.roles.state && row.state != silo_state::joining && is_alive(row);
}

// Who was started again since does not lead by the record, and may have lost what it had.
bool cluster_book::leads_still(const stored_partition& record) const {
  const auto* row = find(primary_of(record));
  return row != nullptr && is_alive(*row) && row->incarnation == life_of(record);
}

const silo_row* cluster_book::find(std::string_view silo) const {
  const auto found = silos_.find(silo);
  return found != silos_.end() ? &found->second : nullptr;
}

// --- inputs --------------------------------------------------------------------------------------

void cluster_book::read(const coordination_view& view, steady_time now, cluster_effects& effects) {
  const bool is_first = revision_ == 0;
  take_silos(view.silos, now, effects);
  set_changes changes;
  for (const auto& each : view.partitions) {
    if (take_record(each, changes)) {
      effects.learnt.push_back(each);
    }
  }
  tell(changes, effects);
  if (is_first) {
    await_members(now);
  }
  revision_ = std::max(revision_, view.revision);
  const auto* self = find(settings_.silo);
  effects.expelled =
      effects.expelled || self == nullptr || self->incarnation != settings_.incarnation;
  place(effects);
  find_primaries(now, effects);
  found(now, effects);
}

void cluster_book::take_silos(const std::vector<silo_row>& rows, steady_time now,
                              cluster_effects& effects) {
  auto before = std::exchange(silos_, {});
  for (const auto& row : rows) {
    silos_.emplace(row.name, row);
  }
  if (before == silos_) {
    return;
  }
  for (const auto& [name, row] : silos_) {
    const auto was = before.find(name);
    if (was == before.end() || !is_same_life(was->second, row)) {
      effects.arrived.push_back(row);
    }
    if (was == before.end() || was->second.incarnation != row.incarnation ||
        was->second.state != row.state || was->second.is_decommissioned != row.is_decommissioned) {
      effects.log.push_back("silo is " + std::string{to_string(row.state)} +
                            (row.is_decommissioned ? " for good" : "") + named(row) +
                            " address=" + row.address);
    }
  }
  for (const auto& [name, row] : before) {
    const auto* known = find(name);
    if (known == nullptr || known->incarnation != row.incarnation) {
      effects.gone.push_back(row);
      effects.log.push_back("silo is gone" + named(row) + " why=" +
                            (row.state == silo_state::draining ? "it has left"
                             : is_alive(row)                   ? "its session has ended"
                                                               : "its process has ended"));
      if (is_alive(row)) {
        note_absence(row, now);
      }
      dead_.erase(name);
      unready_.erase(name);
    }
  }
  rank();
  effects.map_changed = true;
}

bool cluster_book::take_record(const stored_partition& record, set_changes& changes) {
  const auto index = static_cast<std::size_t>(record.partition);
  if (index >= partitions_.size() || record.version <= partitions_[index].record.version) {
    return false;
  }
  auto& known = partitions_[index];
  if (known.record.version != 0) {
    counts_.epoch_changes += record.epoch != known.record.epoch ? 1 : 0;
    compare_sets(known.record, record, changes);
  }
  if (record.epoch != known.record.epoch) {
    known.before = primary_of(known.record);
    if (primary_of(record) != settings_.silo) {
      known.handed_to.clear();
    }
  }
  known.record = record;
  known.was_shared = known.was_shared || record.in_sync.size() > 1;
  known.asked_at.reset();
  return true;
}

void cluster_book::learn(const stored_partition& record, steady_time now,
                         cluster_effects& effects) {
  set_changes changes;
  if (take_record(record, changes)) {
    tell(changes, effects);
    place(effects);
    find_primary(partitions_[static_cast<std::size_t>(record.partition)], now, effects);
    found(now, effects);
  }
}

void cluster_book::leads(partition_id partition, std::uint64_t epoch, steady_time now,
                         cluster_effects& effects) {
  auto& led = partitions_.at(static_cast<std::size_t>(partition));
  led.led_epoch = epoch;
  led.is_stranded = false;
  // The record may be the one before, since storage has read the one that it made itself.
  const std::string before{led.record.epoch < epoch ? primary_of(led.record)
                                                    : std::string_view{led.before}};
  const auto* row = find(before);
  std::string why = "silo " + before + " has handed it over, or is slow";
  if (before.empty() || before == settings_.silo) {
    why = "no other silo has led it since";
  } else if (row == nullptr || !is_alive(*row)) {
    why = "silo " + before + " is gone";
  }
  note_hand_over(led, before == settings_.silo, now, effects);
  counts_.takeovers += before.empty() || before == settings_.silo ? 0 : 1;
  effects.log.push_back("leads" + numbered(partition) + " epoch=" + std::to_string(epoch) +
                        " why=" + why);
  find_primary(led, now, effects);
}

void cluster_book::note_hand_over(entry& led, bool has_failed, steady_time now,
                                  cluster_effects& effects) {
  const auto asked = std::exchange(led.handed_to, {});
  if (has_failed && !asked.empty() && unready_.try_emplace(asked, now + unready_for).second) {
    rank();
    effects.log.push_back("silo is handed nothing for a while silo=" + asked +
                          " why=it has not taken over" + numbered(led.record.partition));
  }
}

void cluster_book::lost(partition_id partition, steady_time now, cluster_effects& effects) {
  auto& led = partitions_.at(static_cast<std::size_t>(partition));
  if (std::exchange(led.led_epoch, 0) != 0) {
    const auto primary = primary_of(led.record);
    ++counts_.hand_overs;
    effects.log.push_back("leads no more" + numbered(partition) +
                          " primary=" + (primary.empty() ? "?" : std::string{primary}) +
                          " epoch=" + std::to_string(led.record.epoch));
  }
  find_primary(led, now, effects);
}

void cluster_book::follows(partition_id partition, std::uint64_t epoch, const std::string& silo,
                           steady_time now, cluster_effects& effects) {
  auto& told = partitions_.at(static_cast<std::size_t>(partition));
  if (epoch > told.record.epoch) {
    told.heard_epoch = epoch;
    told.heard_primary = silo;
    find_primary(told, now, effects);
  }
}

void cluster_book::take_part(presence how, steady_time held_until) noexcept {
  if (presence_ != presence::leaving) {
    presence_ = how;
    held_until_ = held_until;
  }
  rank();
}

void cluster_book::died(const std::string& silo, std::uint64_t incarnation, steady_time now,
                        cluster_effects& effects) {
  const auto* row = find(silo);
  if (row == nullptr || row->incarnation != incarnation || !is_alive(*row)) {
    return;
  }
  dead_[silo] = incarnation;
  note_absence(*row, now);
  effects.log.push_back("silo is dead" + named(*row) + " why=its process has ended");
  rank();
  place(effects);
  find_primaries(now, effects);
  effects.map_changed = true;
}

// --- what follows --------------------------------------------------------------------------------

// Most silos that die or stop are back soon, and then lack little.
void cluster_book::note_absence(const silo_row& row, steady_time now) {
  if (row.roles.state && row.state != silo_state::joining && !row.is_decommissioned &&
      row.name != settings_.silo) {
    absent_.try_emplace(row.name, absence{row.zone, now + settings_.replace_after});
  }
}

// After all silos were without power the first to be back would share everything among themselves.
void cluster_book::await_members(steady_time now) {
  for (auto& each : partitions_) {
    for (const auto& copy : each.record.in_sync) {
      if (find(copy.silo) == nullptr) {
        each.missing.push_back(copy.silo);
        absent_.try_emplace(copy.silo, absence{{}, now + settings_.replace_after});
      }
    }
  }
  rank();
}

bool cluster_book::is_awaited(std::string_view silo) const {
  return absent_.contains(silo);
}

// Writes are refused for want of a copy, or will be once those have gone that are about to.
bool cluster_book::is_short(const entry& one) const {
  const auto& members = one.record.in_sync;
  const auto stays = [this](const placed_copy& each) {
    const auto* row = find(each.silo);
    return each.silo == settings_.silo
               ? presence_ == presence::active
               : row != nullptr && row->state == silo_state::active && is_alive(*row);
  };
  return static_cast<std::size_t>(std::count_if(members.begin(), members.end(), stays)) <
         one.record.in_sync_min;
}

// Where copies of a partition belong. Where a set is short nobody is awaited.
const std::vector<std::string>& cluster_book::placed(const entry& one) const {
  return is_short(one) ? one.ranked : one.holders;
}

// Whoever drains keeps what it has, and is asked for nothing more. Who is decommissioned comes
// last, so that its copies move to others.
void cluster_book::rank() {
  std::erase_if(absent_, [this](const auto& each) {
    const auto* row = find(each.first);
    return row != nullptr && may_hold_copies(*row);
  });
  std::vector<candidate> silos;
  std::vector<std::string> last;
  for (const auto& [name, row] : silos_) {
    if (may_hold_copies(row) && row.is_decommissioned) {
      last.push_back(name);
    } else if (may_hold_copies(row)) {
      silos.push_back({name, row.zone});
    }
  }
  const auto ranked = [&last](partition_id partition, const std::vector<candidate>& all) {
    auto names = ranked_for(partition, all);
    names.insert(names.end(), last.begin(), last.end());
    return names;
  };
  auto holders = silos;
  bool counts_zones = true;  // for both alike
  for (const auto& [name, absent] : absent_) {
    counts_zones = counts_zones && absent.zone != "";
    if (absent.zone) {
      holders.push_back({name, *absent.zone});
    }
  }
  if (!counts_zones) {
    for (auto* all : {&silos, &holders}) {
      std::for_each(all->begin(), all->end(), [](candidate& each) { each.zone.clear(); });
    }
  }
  const auto is_unknown = [this](const std::string& name) {
    const auto found = absent_.find(name);
    return found != absent_.end() && !found->second.zone;
  };
  const auto is_ready = [this](const std::string& name) { return !unready_.contains(name); };
  const auto may_lead = [&](const std::string& name) {
    const bool is_active = presence_ == presence::active;
    return name == settings_.silo
               ? is_active
               : find(name)->state == silo_state::active && (!is_active || is_ready(name));
  };
  for (auto& each : partitions_) {
    each.ranked = ranked(each.record.partition, silos);
    each.holders = each.ranked;
    if (std::any_of(each.missing.begin(), each.missing.end(), is_unknown)) {
      each.holders.clear();  // whose place it is cannot be told
    } else if (holders.size() > silos.size()) {
      each.holders = ranked(each.record.partition, holders);
    }
    each.leaders.clear();
    std::copy_if(each.ranked.begin(), each.ranked.end(), std::back_inserter(each.leaders),
                 may_lead);
    std::stable_partition(each.leaders.begin(), each.leaders.end(), is_ready);
  }
}

// Who hands over leaves the set. If it is decommissioned it comes back for as long as the set is
// not full without it.
void cluster_book::place(cluster_effects& effects) {
  const auto* self = find(settings_.silo);
  const bool goes = self != nullptr && self->is_decommissioned;
  for (auto& each : partitions_) {
    const bool is_kept = goes && each.is_here && each.record.in_sync.size() < settings_.copies;
    const bool wanted =
        settings_.has_state &&
        (is_kept || should_have_copy(settings_.silo, placed(each), settings_.copies, each.record));
    if (std::exchange(each.is_here, wanted) != wanted) {
      effects.placed_copies.push_back({each.record.partition, wanted});
    }
  }
}

void cluster_book::find_primaries(steady_time now, cluster_effects& effects) {
  for (auto& each : partitions_) {
    find_primary(each, now, effects);
  }
}

void cluster_book::find_primary(entry& one, steady_time now, cluster_effects& effects) {
  std::string_view primary;
  if (one.heard_epoch > one.record.epoch) {
    primary = one.heard_primary;
  } else if (one.record.state == partition_state::active && leads_still(one.record)) {
    primary = primary_of(one.record);
  }
  const auto* row = find(primary);
  if (one.led_epoch != 0) {
    primary = settings_.silo;
  } else if (row == nullptr || !takes_calls(*row) || primary == settings_.silo) {
    primary = {};
  }
  if (one.primary == primary) {
    return;
  }
  one.primary = primary;
  effects.map_changed = true;
  if (primary.empty()) {
    one.leaderless_since = now;
  } else if (const auto since = std::exchange(one.leaderless_since, {})) {
    add(counts_.leaderless, now - *since);
  }
}

std::string_view cluster_book::leader(partition_id partition) const {
  const auto& known = partitions_.at(static_cast<std::size_t>(partition));
  if (known.led_epoch != 0) {
    return settings_.silo;
  }
  return leads_still(known.record) ? primary_of(known.record) : std::string_view{};
}

bool cluster_book::has_others() const {
  return std::any_of(silos_.begin(), silos_.end(), [this](const auto& each) {
    const auto& row = each.second;
    return each.first != settings_.silo && row.roles.state && row.state != silo_state::draining &&
           is_alive(row);
  });
}

bool cluster_book::has_company() const {
  return std::any_of(silos_.begin(), silos_.end(), [this](const auto& each) {
    return each.first != settings_.silo && each.second.state == silo_state::active &&
           is_alive(each.second);
  });
}

// --- what others see -----------------------------------------------------------------------------

std::shared_ptr<const cluster_map> cluster_book::map() const {
  std::vector<cluster_member> members;
  for (const auto& [name, row] : silos_) {
    if (!takes_calls(row)) {
      continue;
    }
    cluster_member member{name, row.incarnation, {}, row.types};
    for (const auto& [label, value] : row.labels) {
      member.labels.push_back(label);
    }
    members.push_back(std::move(member));
  }
  std::vector<std::string> primaries;
  primaries.reserve(partitions_.size());
  for (const auto& each : partitions_) {
    primaries.push_back(each.primary);
  }
  return std::make_shared<cluster_map>(std::move(members), std::move(primaries));
}

cluster_view cluster_book::view() const {
  cluster_view seen;
  for (const auto& [name, row] : silos_) {
    seen.silos.push_back({name, row.incarnation, row.process.pid, row.address, row.zone, row.state,
                          row.roles, row.types, row.is_decommissioned});
  }
  const auto count = [&](std::string_view silo, auto field) {
    for (auto& each : seen.silos) {
      each.*field += each.name == silo ? 1 : 0;
    }
  };
  for (const auto& each : partitions_) {
    cluster_partition one;
    one.partition = each.record.partition;
    one.epoch = each.record.epoch;
    one.primary = leader(each.record.partition);
    one.is_active = each.record.state == partition_state::active && !one.primary.empty();
    for (const auto& copy : each.record.in_sync) {
      one.in_sync.push_back(copy.silo);
      count(copy.silo, &cluster_silo::partitions_total);
    }
    one.in_sync_min = each.record.in_sync_min;
    one.loss = {each.record.data_loss_no, each.record.loss.silo, each.record.loss.reason,
                wall_time{std::chrono::milliseconds{each.record.loss.at_ms}},
                each.record.loss.acknowledged};
    count(one.primary, &cluster_silo::partitions_primary);
    seen.partitions.push_back(std::move(one));
  }
  return seen;
}

}  // namespace millrace::runtime
