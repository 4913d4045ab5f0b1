// SPDX-License-Identifier: MIT
// Who begins partitions, who should lead them instead of this silo, which copies should move.
#include <algorithm>
#include <utility>

#include "cluster/cluster_book.h"
#include "cluster/cluster_words.h"
#include "cluster/placement.h"

namespace millrace::runtime {

namespace {

// Hand-overs that have not come to an end. Until then nobody leads the partition: its successor has
// to change the record twice, and where the store is slow, the changes of all wait for each other.
// What has not begun to move is led meanwhile. To balance, few move at a time.
constexpr std::size_t balanced_at_once_max = 4;
constexpr std::size_t drained_at_once_max = 16;
constexpr std::size_t moved_at_once_max = 4;

// What was asked of storage and has not become so is asked again: a change of the record may have
// failed, the other copy may have left the set.
constexpr duration ask_again_after = std::chrono::seconds{2};

// A hand-over that is to be has begun within this time: its partition is led no more. Or it waits
// for its successor to catch up, and does not keep others from moving.
constexpr duration begins_within = std::chrono::milliseconds{200};

}  // namespace

// The most preferred silo begins, unless one has what the cluster is to begin with.
bool cluster_book::is_to_found(const entry& one) const {
  if (!settings_.has_state || presence_ != presence::active || one.record.version != 0 ||
      one.leaders.empty()) {
    return false;
  }
  switch (settings_.begins) {
    case founding::preferred:
      return one.leaders.front() == settings_.silo;
    case founding::all:
      return true;
    case founding::none:
      break;
  }
  return false;
}

void cluster_book::found(steady_time now, cluster_effects& effects) {
  for (auto& each : partitions_) {
    if (is_to_found(each) && (!each.asked_at || now >= *each.asked_at + ask_again_after)) {
      each.asked_at = now;
      effects.founded.push_back(each.record.partition);
    }
  }
}

void cluster_book::find_successor(entry& one, steady_time now) const {
  const auto preferred = preferred_primary(one.leaders, one.record);
  if (preferred == settings_.silo || preferred.empty()) {
    one.successor.clear();
    one.handed_to.clear();
  } else if (one.successor != preferred) {
    one.successor = preferred;
    one.successor_since = now;
  }
}

std::size_t cluster_book::members_without_self(const entry& one) const {
  const auto& members = one.record.in_sync;
  return static_cast<std::size_t>(
      std::count_if(members.begin(), members.end(), [this](const placed_copy& each) {
        const auto* row = find(each.silo);
        return each.silo != settings_.silo && row != nullptr && is_alive(*row);
      }));
}

// Whoever hands over leaves the set until he has caught up with his successor.
bool cluster_book::is_needed(const entry& one) const {
  return settings_.copies > 1 && is_in_set(settings_.silo, one.record) &&
         members_without_self(one) < one.record.in_sync_min &&
         std::any_of(one.leaders.begin(), one.leaders.end(), [&](const std::string& silo) {
           return silo != settings_.silo && !is_in_set(silo, one.record) &&
                  should_have_copy(silo, placed(one), settings_.copies, one.record);
         });
}

// To balance is never worth a write. Who drains may be unable to write at all; who leaves waits for
// whom he can expect, as long as he can.
bool cluster_book::may_hand_over(const entry& one, steady_time now) const {
  switch (presence_) {
    case presence::active:
      return members_without_self(one) >= one.record.in_sync_min;
    case presence::draining:
    case presence::decommissioned:
      return true;
    case presence::leaving:
      break;
  }
  return now >= held_until_ || !is_needed(one);
}

// Whether a partition is about to be handed over, or nobody has led it since: for as long as it
// takes until that is tried again.
bool cluster_book::is_between(const entry& one, steady_time now) {
  const auto is_led = one.led_epoch != 0;
  const auto& since = is_led ? one.asked_at : one.leaderless_since;
  return since && now < *since + (is_led ? begins_within : ask_again_after);
}

void cluster_book::tick(steady_time now, cluster_effects& effects) {
  if (std::erase_if(unready_, [&](const auto& each) { return each.second <= now; }) != 0) {
    rank();
  }
  if (std::erase_if(absent_, [&](const auto& each) { return each.second.until <= now; }) != 0) {
    rank();
    place(effects);
  }
  found(now, effects);
  tell_single_copies(effects);
  const bool goes = presence_ != presence::active;
  const auto most = goes ? drained_at_once_max : balanced_at_once_max;
  const bool is_alone = !has_others();
  auto begun = static_cast<std::size_t>(
      std::count_if(partitions_.begin(), partitions_.end(),
                    [now](const entry& each) { return is_between(each, now); }));
  for (auto& each : partitions_) {
    if (each.led_epoch == 0 || each.record.epoch != each.led_epoch ||
        each.record.state != partition_state::active) {
      continue;
    }
    find_successor(each, now);
    if (presence_ == presence::leaving && each.successor.empty()) {
      const auto members = each.record.in_sync.size();
      if (members > 1 && !std::exchange(each.is_stranded, true)) {
        effects.stranded.push_back(each.record.partition);
      }
      if (is_alone && members < each.record.in_sync_min) {
        effects.hopeless.push_back(each.record.partition);  // until storage leads it no more
      }
    }
    const bool is_due = !each.successor.empty() && may_hand_over(each, now) &&
                        (goes || now >= each.successor_since + settings_.balance_after) &&
                        (!each.asked_at || now >= *each.asked_at + ask_again_after);
    if (is_due && begun < most) {
      ++begun;
      each.asked_at = now;
      each.handed_to = each.successor;
      effects.hand_overs.push_back({each.record.partition, each.successor});
    }
  }
  move_copies(now, effects);
}

// Rows have to be sent for each: some at a time, and one of a partition. A silo that keeps its
// place is not there to take the copy, and nobody else is placed.
void cluster_book::move_copies(steady_time now, cluster_effects& effects) {
  std::size_t moving = 0;
  for (auto& each : partitions_) {
    const auto& ranked = placed(each);
    const auto first = std::min(settings_.copies, ranked.size());
    const bool may = each.led_epoch != 0 && each.record.epoch == each.led_epoch &&
                     each.record.state == partition_state::active && presence_ == presence::active;
    const bool are_there =
        std::none_of(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(first),
                     [this](const std::string& silo) { return is_awaited(silo); });
    const auto leaving =
        may && are_there ? to_move_off(ranked, settings_.copies, each.record) : std::string_view{};
    if (leaving != each.leaving) {
      each.leaving = leaving;
      each.leaving_since = now;
      if (std::exchange(each.is_moving, false) && may) {
        effects.moves.push_back({each.record.partition, {}});
      }
    }
    moving += each.is_moving ? 1 : 0;
  }
  for (auto& each : partitions_) {
    if (moving < moved_at_once_max && !each.is_moving && !each.leaving.empty() &&
        now >= each.leaving_since + settings_.balance_after) {
      ++moving;
      each.is_moving = true;
      effects.moves.push_back({each.record.partition, each.leaving});
      effects.log.push_back("a copy moves" + numbered(each.record.partition) +
                            " off=" + each.leaving + " why=another silo is preferred to it");
    }
  }
}

bool cluster_book::has_drained() const {
  return std::all_of(partitions_.begin(), partitions_.end(), [&](const entry& each) {
    const bool follows = !preferred_primary(each.leaders, each.record).empty();
    return !is_needed(each) && (each.led_epoch == 0 || !follows);
  });
}

}  // namespace millrace::runtime
