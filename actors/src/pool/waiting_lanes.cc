// SPDX-License-Identifier: MIT
#include "pool/waiting_lanes.h"

#include <utility>

#include "pool/lock_table.h"

namespace millrace::actors {

void waiting_lanes::list(shapes::iterator at) {
  const auto& [shape, those] = *at;
  if (shape.hold == run_hold::none && !those.ready.empty()) {
    listed_[shape.pool][shape.priority][shape.project].emplace(those.ready.begin()->first, at);
  }
}

void waiting_lanes::unlist(shapes::iterator at) {
  const auto& [shape, those] = *at;
  if (shape.hold != run_hold::none || those.ready.empty()) {
    return;
  }
  const auto pool = listed_.find(shape.pool);
  const auto priority = pool->second.find(shape.priority);
  const auto project = priority->second.find(shape.project);
  project->second.erase(those.ready.begin()->first);
  if (project->second.empty()) {
    priority->second.erase(project);
  }
  if (priority->second.empty()) {
    pool->second.erase(priority);
  }
  if (pool->second.empty()) {
    listed_.erase(pool);
  }
}

waiting_lanes::queue& waiting_lanes::queue_of(shapes::iterator at, const lane& of) {
  return of.parked_on
             ? parked_[*of.parked_on].try_emplace(&at->first, parked{at}).first->second.lanes
             : at->second.ready;
}

void waiting_lanes::leave_queue(shapes::iterator at, const lane& of) {
  if (of.numbers.empty()) {
    return;
  }
  queue_of(at, of).erase(*of.numbers.begin());
  if (!of.parked_on) {
    return;
  }
  if (const auto lock = parked_.find(*of.parked_on); lock != parked_.end()) {
    if (const auto those = lock->second.find(&at->first);
        those != lock->second.end() && those->second.lanes.empty()) {
      lock->second.erase(those);
    }
    if (lock->second.empty()) {
      parked_.erase(lock);
    }
  }
}

void waiting_lanes::put_in(const ticket_shape& shape, const pool_ticket& ticket) {
  const auto at = shapes_.try_emplace(shape).first;
  const auto lane_at = at->second.all.try_emplace(ticket.wish.locks).first;
  auto& one = lane_at->second;
  unlist(at);
  leave_queue(at, one);
  if (!one.numbers.empty() && ticket.number < *one.numbers.begin()) {
    one.parked_on.reset();  // what is kept for another may be the older one's
  }
  one.numbers.insert(ticket.number);
  at->second.numbers.insert(ticket.number);
  queue_of(at, one).emplace(*one.numbers.begin(), lane_at);
  list(at);
}

void waiting_lanes::take_out(const ticket_shape& shape, const pool_ticket& ticket) {
  const auto at = shapes_.find(shape);
  const auto lane_at = at->second.all.find(ticket.wish.locks);
  auto& one = lane_at->second;
  unlist(at);
  leave_queue(at, one);
  one.numbers.erase(ticket.number);
  at->second.numbers.erase(ticket.number);
  if (one.numbers.empty()) {
    at->second.all.erase(lane_at);
  } else {
    queue_of(at, one).emplace(*one.numbers.begin(), lane_at);
  }
  list(at);
  if (at->second.numbers.empty()) {
    shapes_.erase(at);
  }
  wake(ticket);  // it may have been looked at for others
}

void waiting_lanes::park(shapes::iterator at, const pool_lock& lock) {
  const auto name = lock_table::key(at->first.project, lock);
  const auto lane_at = at->second.ready.begin()->second;
  auto& one = lane_at->second;
  unlist(at);
  leave_queue(at, one);
  one.parked_on = lock_place{name, lock.limit};
  queue_of(at, one).emplace(*one.numbers.begin(), lane_at);
  list(at);
  if (const auto from = std::exchange(one.woken_from, {}); !from.empty() && from != name) {
    wake(from);  // which it does not take
  }
}

void waiting_lanes::wake(const pool_ticket& ticket) {
  for (const auto& each : ticket.wish.locks) {
    wake(lock_table::key(ticket.wish.project, each));
  }
}

void waiting_lanes::wake(const std::string& lock) {
  std::vector<std::pair<shapes::iterator, lanes::iterator>> woken;
  for (auto waiting = parked_.lower_bound({lock, 0});
       waiting != parked_.end() && waiting->first.first == lock; ++waiting) {
    for (const auto& [shape, those] : waiting->second) {
      woken.emplace_back(those.at, those.lanes.begin()->second);
    }
  }
  for (const auto& [at, lane_at] : woken) {
    auto& one = lane_at->second;
    unlist(at);
    leave_queue(at, one);
    one.parked_on.reset();
    one.woken_from = lock;
    ++woken_;
    queue_of(at, one).emplace(*one.numbers.begin(), lane_at);
    list(at);
  }
}

std::optional<waiting_lanes::shapes::iterator> waiting_lanes::find(const ticket_shape& shape) {
  const auto at = shapes_.find(shape);
  return at != shapes_.end() && shape.hold == run_hold::none && !at->second.ready.empty()
             ? std::optional{at}
             : std::nullopt;
}

const waiting_lanes::projects* waiting_lanes::find(std::string_view pool,
                                                   std::uint32_t priority) const {
  const auto at = listed_.find(pool);
  if (at == listed_.end()) {
    return nullptr;
  }
  const auto those = at->second.find(priority);
  return those != at->second.end() ? &those->second : nullptr;
}

const waiting_lanes::lines* waiting_lanes::find(std::string_view pool, std::uint32_t priority,
                                                const std::string& project) const {
  const auto* at = find(pool, priority);
  if (at == nullptr) {
    return nullptr;
  }
  const auto those = at->find(project);
  return those != at->end() ? &those->second : nullptr;
}

}  // namespace millrace::actors
