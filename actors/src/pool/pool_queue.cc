// SPDX-License-Identifier: MIT
#include "pool/pool_queue.h"

#include <algorithm>
#include <numeric>

#include "millrace/runtime/assert.h"

namespace millrace::actors {

void pool_queue::take(offer& from, const pool_ticket& ticket) {
  from.granted.insert(ticket.number);
  ++from.by_priority[ticket.priority];
}

void pool_queue::give_back(offer& to, const pool_ticket& ticket) {
  to.granted.erase(ticket.number);
  if (const auto at = to.by_priority.find(ticket.priority); --at->second == 0) {
    to.by_priority.erase(at);
  }
}

void pool_queue::restore(pool_ticket ticket) {
  by_attempt_[{ticket.task, ticket.attempt}] = ticket.number;
  if (ticket.executor.empty()) {
    waiting_.insert({ticket.priority, ticket.number});
  } else {
    take(executors_[ticket.executor], ticket);
  }
  const auto number = ticket.number;
  tickets_.emplace(number, std::move(ticket));
}

void pool_queue::restore_executor(std::string_view executor, std::uint64_t incarnation,
                                  std::uint32_t slots) {
  auto& life = executors_[std::string{executor}];
  life.incarnation = incarnation;
  life.slots = slots;
}

std::vector<pool_ticket> pool_queue::join(std::string_view executor, std::uint64_t incarnation,
                                          std::uint32_t slots) {
  auto& life = executors_[std::string{executor}];
  std::vector<pool_ticket> lost;
  if (life.incarnation != incarnation) {
    lost = take_granted(life);
  }
  life.incarnation = incarnation;
  life.slots = slots;
  return lost;
}

std::vector<pool_ticket> pool_queue::take_granted(offer& from) {
  std::vector<pool_ticket> taken;
  from.by_priority.clear();
  for (const auto number : std::exchange(from.granted, {})) {
    auto ticket = tickets_.extract(number);
    by_attempt_.erase({ticket.mapped().task, ticket.mapped().attempt});
    taken.push_back(std::move(ticket.mapped()));
  }
  return taken;
}

std::vector<pool_ticket> pool_queue::remove(std::string_view executor) {
  const auto found = executors_.find(executor);
  if (found == executors_.end()) {
    return {};
  }
  auto taken = take_granted(found->second);
  executors_.erase(found);
  return taken;
}

void pool_queue::leave(std::string_view executor) {
  if (const auto at = executors_.find(executor); at != executors_.end()) {
    at->second.slots = 0;
  }
}

std::optional<pool_ticket> pool_queue::enqueue(std::uint64_t number, std::string_view task,
                                               std::uint32_t attempt, std::uint8_t priority) {
  MILLRACE_ASSERT(tickets_.empty() || number > tickets_.rbegin()->first);
  if (!by_attempt_.try_emplace({std::string{task}, attempt}, number).second) {
    return std::nullopt;
  }
  waiting_.insert({priority, number});
  return tickets_.emplace(number, pool_ticket{number, std::string{task}, attempt, priority, {}})
      .first->second;
}

std::optional<pool_ticket> pool_queue::release(std::string_view task, std::uint32_t attempt) {
  const auto found = by_attempt_.find({std::string{task}, attempt});
  if (found == by_attempt_.end()) {
    return std::nullopt;
  }
  auto ticket = std::move(tickets_.extract(found->second).mapped());
  by_attempt_.erase(found);
  if (ticket.executor.empty()) {
    waiting_.erase({ticket.priority, ticket.number});
  } else {
    give_back(executors_.at(ticket.executor), ticket);
  }
  return ticket;
}

const pool_ticket* pool_queue::find(std::string_view task, std::uint32_t attempt) const {
  const auto found = by_attempt_.find({std::string{task}, attempt});
  return found != by_attempt_.end() ? &tickets_.at(found->second) : nullptr;
}

std::vector<pool_ticket> pool_queue::of_tasks(std::string_view prefix) const {
  std::vector<pool_ticket> all;
  for (auto at = by_attempt_.lower_bound({std::string{prefix}, 0});
       at != by_attempt_.end() && at->first.first.starts_with(prefix); ++at) {
    all.push_back(tickets_.at(at->second));
  }
  return all;
}

// The executor with the most free slots, or else one with a place ahead of them; none if all is
// taken.
pool_queue::offers::value_type* pool_queue::best_for(std::uint8_t priority) {
  const auto ahead = executors_.size() == 1 ? ahead_ : 0;
  const auto free = [](const offer& each) {
    return static_cast<std::int64_t>(each.slots) - static_cast<std::int64_t>(each.granted.size());
  };
  const auto may_wait_there = [&](const offer& each) {
    const auto before_it = std::accumulate(
        each.by_priority.lower_bound(priority), each.by_priority.end(), std::size_t{0},
        [](std::size_t sum, const auto& counted) { return sum + counted.second; });
    return ahead > 0 && each.slots > 0 && before_it < std::size_t{each.slots} + ahead;
  };
  offers::value_type* best = nullptr;
  for (auto& each : executors_) {
    if ((best == nullptr || free(each.second) > free(best->second)) &&
        (free(each.second) > 0 || may_wait_there(each.second))) {
      best = &each;
    }
  }
  return best;
}

std::vector<pool_grant> pool_queue::grant() {
  std::vector<pool_grant> grants;
  while (!waiting_.empty()) {
    auto* const best = best_for(waiting_.begin()->priority);
    if (best == nullptr) {
      break;
    }
    auto& ticket = tickets_.at(waiting_.begin()->number);
    waiting_.erase(waiting_.begin());
    take(best->second, ticket);
    ticket.executor = best->first;
    grants.push_back({ticket, best->second.incarnation});
  }
  return grants;
}

std::size_t pool_queue::running() const noexcept {
  return std::accumulate(
      executors_.begin(), executors_.end(), std::size_t{0}, [](std::size_t sum, const auto& each) {
        return sum + std::min<std::size_t>(each.second.granted.size(), each.second.slots);
      });
}

std::uint32_t pool_queue::slots() const noexcept {
  return std::accumulate(
      executors_.begin(), executors_.end(), std::uint32_t{0},
      [](std::uint32_t sum, const auto& each) { return sum + each.second.slots; });
}

std::string pool_queue::waiting_reason() const {
  if (waiting() == 0) {
    return {};
  }
  const auto all = slots();
  return all == 0 ? "no executor has joined this pool"
                  : "all " + std::to_string(all) + " slots are taken";
}

}  // namespace millrace::actors
