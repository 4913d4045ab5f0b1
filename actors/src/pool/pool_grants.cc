// SPDX-License-Identifier: MIT
// Which ticket of a pool is granted next, and to whom.
#include <algorithm>
#include <limits>
#include <numeric>

#include "pipeline/names.h"
#include "pool/pool_queue.h"

namespace millrace::actors {

namespace {

std::int64_t free_slots(std::uint32_t slots, std::size_t granted) {
  return static_cast<std::int64_t>(slots) - static_cast<std::int64_t>(granted);
}

std::uint64_t left_of(const resource_amounts& offered, const resource_amounts& taken,
                      std::string_view name) {
  const auto all = amount_of(offered, name);
  return all - std::min(all, amount_of(taken, name));
}

bool covers(const resource_amounts& offered, const resource_amounts& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& each) {
    return amount_of(offered, each.first) >= each.second;
  });
}

}  // namespace

std::uint32_t pool_queue::ahead_at(const offer& at) const {
  if (ahead_) {
    return *ahead_;
  }
  if (!at.pace || at.pace->count() >= ahead_time.count()) {
    return 1;
  }
  const auto end = ahead_time.count() / std::max<runtime::duration::rep>(at.pace->count(), 1);
  return static_cast<std::uint32_t>(std::min<runtime::duration::rep>(end, granted_ahead_max));
}

// Those that the executor starts before a new one of the priority.
std::size_t pool_queue::granted_before(const offer& at, std::uint32_t priority) const {
  return std::accumulate(at.by_priority.lower_bound(priority), at.by_priority.end(), std::size_t{0},
                         [](std::size_t sum, const auto& each) { return sum + each.second; });
}

bool pool_queue::has_room(const offer& at, std::uint32_t priority, reach how) const {
  if (at.drains) {
    return false;
  }
  if (at.granted.size() < at.slots) {
    return true;
  }
  const auto ahead = ahead_at(at);
  return how == reach::ahead && !at.closed && ahead > 0 && at.slots > 0 &&
         granted_before(at, priority) < std::size_t{at.slots} + ahead;
}

// Whether tickets of the lane could ever be granted to the executor, as it is now.
bool pool_queue::could_go(const lane_key& of, std::string_view executor, const offer& to) const {
  return to.slots > 0 && !to.drains && (of.executor.empty() || of.executor == executor) &&
         covers(to.offered, of.resources) && covers(to.offered, of.at_most);
}

// Whether the executor has what the lane asks for, and what is kept of it stays.
bool pool_queue::fits_now(const lane_key& of, const offer& to) {
  return std::all_of(of.resources.begin(), of.resources.end(), [&](const auto& wanted) {
    const auto& [name, amount] = wanted;
    const auto kept = to.kept_for != nullptr ? amount_of(*to.kept_for, name) : 0;
    const auto left = left_of(to.offered, to.taken, name);
    return left >= amount && (kept == 0 || left - amount >= kept);
  });
}

// Without resources and locks: the executor with the most free slots, or else a lone one, or the
// one that has the run, with a place ahead of them.
pool_queue::verdict pool_queue::look_plain(const lane_key& of, offers::value_type*& to) {
  if (!of.executor.empty()) {
    const auto found = executors_.find(of.executor);
    to = &*found;
    return has_room(to->second, of.priority, reach::ahead) ? verdict::goes : verdict::passed;
  }
  const auto offering = std::count_if(executors_.begin(), executors_.end(), [](const auto& each) {
    return each.second.slots > 0 && !each.second.drains;
  });
  to = nullptr;
  auto somebody = false;
  for (auto& each : executors_) {
    const auto& [name, one] = each;
    if (!of.at_most.empty() && !could_go(of, name, one)) {
      continue;
    }
    somebody = true;
    if ((to == nullptr || free_slots(one.slots, one.granted.size()) >
                              free_slots(to->second.slots, to->second.granted.size())) &&
        has_room(one, of.priority, offering == 1 ? reach::ahead : reach::slots)) {
      to = &each;
    }
  }
  if (to != nullptr) {
    return verdict::goes;
  }
  if (of.at_most.empty()) {
    return verdict::full;
  }
  return somebody ? verdict::no_slot : verdict::passed;
}

// The executor where it leaves the most of what is scarcest, then the one with the most free slots.
pool_queue::verdict pool_queue::look_wanting(lanes::iterator at, runtime::wall_time now,
                                             offers::value_type*& to) {
  const auto& key = at->first;
  to = nullptr;
  auto best = -1.0;
  auto no_slot = false;
  auto no_room = false;
  for (auto& each : executors_) {
    auto& [name, one] = each;
    if (!could_go(key, name, one)) {
      continue;
    }
    if (granted_before(one, key.priority) >= one.slots) {
      no_slot = true;
    } else if (!fits_now(key, one)) {
      no_room = true;
    } else {
      auto left = 1.0;
      for (const auto& [resource, amount] : key.resources) {
        left =
            std::min(left, static_cast<double>(left_of(one.offered, one.taken, resource) - amount) /
                               static_cast<double>(amount_of(one.offered, resource)));
      }
      if (to == nullptr || left > best ||
          (left == best && free_slots(one.slots, one.granted.size()) >
                               free_slots(to->second.slots, to->second.granted.size()))) {
        to = &each;
        best = left;
      }
    }
  }
  if (to != nullptr) {
    return verdict::goes;
  }
  const auto number = *at->second.numbers.begin();
  if (no_room &&
      (kept_.contains(number) || now - tickets_.at(number).queued_at >= resource_patience)) {
    keep_one_for(key, number);
  }
  return no_slot && !no_room ? verdict::no_slot : verdict::passed;
}

// The same one as before while it can be; else, of those that are kept for nobody before it, the
// one that has the greatest part of what is asked.
void pool_queue::keep_one_for(const lane_key& of, std::uint64_t number) {
  offer* best = nullptr;
  std::string_view best_name;
  auto most = -1.0;
  const auto known = kept_.find(number);
  for (auto& [name, one] : executors_) {
    if (one.kept_for != nullptr || !could_go(of, name, one)) {
      continue;
    }
    auto part = 1.0;
    for (const auto& [resource, amount] : of.resources) {
      part = std::min(part, static_cast<double>(left_of(one.offered, one.taken, resource)) /
                                static_cast<double>(amount));
    }
    if (known != kept_.end() && known->second == name) {
      part = std::numeric_limits<double>::max();
    }
    if (part > most) {
      most = part;
      best = &one;
      best_name = name;
    }
  }
  if (best != nullptr) {
    best->kept_for = &of.resources;
    best->closed = true;
    kept_.insert_or_assign(number, std::string{best_name});
  }
}

pool_queue::verdict pool_queue::look_at(lanes::iterator at, runtime::wall_time now,
                                        offers::value_type*& to) {
  ++looks_;
  const auto& key = at->first;
  if (const auto* missing = missing_lock(key)) {
    park(at, *missing);
    return verdict::passed;
  }
  const auto found = key.is_plain() ? look_plain(key, to) : look_wanting(at, now, to);
  if (found == verdict::no_slot) {
    for (auto& [name, one] : executors_) {
      one.closed = one.closed || could_go(key, name, one);
    }
  }
  return found;
}

// Those that may be granted more, the one with the best claim first.
std::vector<std::map<std::string, pool_queue::lines>::iterator> pool_queue::in_order(
    std::map<std::string, lines>& projects, runtime::wall_time now) const {
  std::vector<std::pair<double, std::map<std::string, lines>::iterator>> ranked;
  for (auto at = projects.begin(); at != projects.end(); ++at) {
    const auto* share = shares_.find(at->first);
    if (share->may_run()) {
      ranked.emplace_back(projects.size() > 1 ? fair_share::rank(*share, now) : 0, at);
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first
                              : a.second->second.begin()->first < b.second->second.begin()->first;
  });
  std::vector<std::map<std::string, lines>::iterator> order;
  for (const auto& [rank, at] : ranked) {
    order.push_back(at);
  }
  return order;
}

std::optional<std::pair<pool_queue::lanes::iterator, pool_queue::offers::value_type*>>
pool_queue::next(runtime::wall_time now) {
  for (auto& [name, one] : executors_) {
    one.closed = false;
    one.kept_for = nullptr;
  }
  for (auto priority = listed_.begin(); priority != listed_.end();) {
    auto& projects = priority->second;
    ++priority;  // what is parked may be the last of it
    for (const auto& project : in_order(projects, now)) {
      auto& lines_here = project->second;
      for (auto at = lines_here.begin(); at != lines_here.end();) {
        const auto lane_at = at->second;
        ++at;
        const auto is_last = at == lines_here.end();
        offers::value_type* to = nullptr;
        switch (look_at(lane_at, now, to)) {
          case verdict::goes:
            return std::pair{lane_at, to};
          case verdict::full:
            return std::nullopt;  // also where a later one could be: it would be ahead of this one
          case verdict::no_slot:
          case verdict::passed:
            break;
        }
        if (is_last) {
          break;
        }
      }
    }
  }
  return std::nullopt;
}

std::vector<pool_grant> pool_queue::grant(runtime::wall_time now) {
  std::vector<pool_grant> grants;
  while (const auto found = next(now)) {
    const auto& [at, to] = *found;
    auto& ticket = tickets_.at(*at->second.numbers.begin());
    const auto pins = ticket.shared && at->first.executor.empty();
    take_out(ticket);
    ticket.executor = to->first;
    ticket.granted_at = now;
    take(to->second, ticket);
    if (pins) {
      move_run(run_of(ticket.task), to->first, false);
    }
    grants.push_back({ticket, to->second.incarnation, pins});
  }
  return grants;
}

}  // namespace millrace::actors
