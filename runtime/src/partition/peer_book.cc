// SPDX-License-Identifier: MIT
#include "partition/peer_book.h"

#include <algorithm>

#include "partition/planted_bug.h"

namespace millrace::runtime {
namespace {

// Ejected twice in that time, a copy waits; each further time doubles it.
constexpr duration flap_memory = std::chrono::minutes{10};
constexpr std::size_t flaps_free = 2;
constexpr duration flap_wait = std::chrono::seconds{10};
constexpr duration flap_wait_max = std::chrono::minutes{5};

}  // namespace

void peer::start_over() noexcept {
  if (planted(bug::s3_keeps_verdicts)) {
    refused = false;
    return;
  }
  prepared = comparison = 0;
  verified = refused = false;
  required_from.reset();
}

void peer_book::clear() {
  peers_.clear();
  marks_.clear();
}

peer* peer_book::find(const placed_copy& copy) noexcept {
  const auto found = std::find_if(peers_.begin(), peers_.end(),
                                  [&](const peer& each) { return is_same(each.copy, copy); });
  return found == peers_.end() ? nullptr : &*found;
}

peer& peer_book::add(const placed_copy& copy, std::uint64_t shipped, steady_time now) {
  auto& added = peers_.emplace_back();
  added.copy = copy;
  added.shipped = shipped;
  added.heard_at = now;
  return added;
}

std::uint64_t peer_book::everywhere(std::uint64_t own) const noexcept {
  auto least = own;
  if (planted(bug::w4_commits_without_one)) {
    auto second = least;
    for (const auto& each : peers_) {
      if (each.counts) {
        second = std::min(second, std::max(least, each.prepared));
        least = std::min(least, each.prepared);
      }
    }
    return second;
  }
  for (const auto& each : peers_) {
    if (each.counts) {
      least = std::min(least, each.prepared);
    }
  }
  return least;
}

bool peer_book::all_consent(steady_time arrived, steady_time now) const noexcept {
  const auto consents = [&](const peer& each) {
    return !each.may_lead || now < each.granted_until || each.confirmed_at >= arrived;
  };
  if (planted(bug::r2_one_grant_suffices)) {
    return peers_.empty() || std::any_of(peers_.begin(), peers_.end(), consents);
  }
  return std::all_of(peers_.begin(), peers_.end(), consents);
}

void peer_book::note_tail(std::uint64_t seq, steady_time now, duration age) {
  marks_.push_back({now, seq});
  while (marks_.size() > 1 && marks_[1].at + age <= now) {
    marks_.pop_front();
  }
}

std::uint64_t peer_book::tail_at(steady_time instant) const noexcept {
  std::uint64_t seq = 0;
  for (const auto& each : marks_) {
    if (each.at > instant) {
      break;
    }
    seq = each.seq;
  }
  return seq;
}

bool peer_book::is_late(const peer& one, steady_time now, duration limit) const noexcept {
  return one.heard_at + limit <= now || one.prepared < tail_at(now - limit);
}

bool peer_book::is_overdue(const peer& one, steady_time now, duration limit) const noexcept {
  const bool is_excused = one.excused_until && now < *one.excused_until;
  return one.refused || one.damaged || (is_late(one, now, limit) && !is_excused);
}

void peer_book::excuse(bool had_gap, steady_time now, duration limit, steady_time until) {
  for (auto& each : peers_) {
    if (!is_late(each, now, limit)) {
      each.excused_until.reset();
    } else if (had_gap && (!each.excused_until || planted(bug::s1_excuses_every_gap))) {
      each.excused_until = until;
    }
  }
}

void flap_book::ejected(const placed_copy& copy, steady_time now) {
  auto found = std::find_if(silos_.begin(), silos_.end(),
                            [&](const past& each) { return each.silo == copy.silo; });
  if (found == silos_.end()) {
    found = silos_.insert(found, past{copy.silo, {}});
  }
  std::erase_if(found->at, [&](steady_time at) { return at + flap_memory <= now; });
  found->at.push_back(now);
}

bool flap_book::may_join(const placed_copy& copy, steady_time now) const {
  const auto found = std::find_if(silos_.begin(), silos_.end(),
                                  [&](const past& each) { return each.silo == copy.silo; });
  if (found == silos_.end()) {
    return true;
  }
  const auto recent = static_cast<std::size_t>(std::count_if(
      found->at.begin(), found->at.end(), [&](steady_time at) { return now < at + flap_memory; }));
  if (recent < flaps_free) {
    return true;
  }
  auto wait = flap_wait;
  for (auto times = recent - flaps_free; times > 0 && wait < flap_wait_max; --times) {
    wait = std::min(wait * 2, flap_wait_max);
  }
  return now >= found->at.back() + wait;
}

}  // namespace millrace::runtime
