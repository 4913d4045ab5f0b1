// SPDX-License-Identifier: MIT
#include "pool/pool_queue.h"

#include <numeric>

#include "millrace/runtime/assert.h"

namespace millrace::actors {

// Moves an executor to its place among those with free slots.
void pool_queue::note_free(const offers::value_type& executor, std::uint32_t before) {
  free_.erase({before, executor.first});
  if (const auto now = executor.second.free(); now > 0) {
    free_.emplace(now, executor.first);
  }
}

void pool_queue::restore(pool_ticket ticket) {
  by_attempt_[{ticket.task, ticket.attempt}] = ticket.number;
  if (ticket.executor.empty()) {
    waiting_.insert({ticket.priority, ticket.number});
  } else {
    const auto at = executors_.try_emplace(ticket.executor).first;
    const auto before = at->second.free();
    at->second.granted.insert(ticket.number);
    note_free(*at, before);
  }
  const auto number = ticket.number;
  tickets_.emplace(number, std::move(ticket));
}

void pool_queue::restore_executor(std::string_view executor, std::uint64_t incarnation,
                                  std::uint32_t slots) {
  const auto at = executors_.try_emplace(std::string{executor}).first;
  const auto before = at->second.free();
  at->second.incarnation = incarnation;
  at->second.slots = slots;
  note_free(*at, before);
}

std::vector<pool_ticket> pool_queue::join(std::string_view executor, std::uint64_t incarnation,
                                          std::uint32_t slots) {
  const auto at = executors_.try_emplace(std::string{executor}).first;
  auto& life = at->second;
  const auto before = life.free();
  std::vector<pool_ticket> lost;
  if (life.incarnation != incarnation) {
    for (const auto number : std::exchange(life.granted, {})) {
      auto ticket = tickets_.extract(number);
      by_attempt_.erase({ticket.mapped().task, ticket.mapped().attempt});
      lost.push_back(std::move(ticket.mapped()));
    }
  }
  life.incarnation = incarnation;
  life.slots = slots;
  note_free(*at, before);
  return lost;
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
    const auto at = executors_.find(ticket.executor);
    const auto before = at->second.free();
    at->second.granted.erase(ticket.number);
    note_free(*at, before);
  }
  return ticket;
}

std::vector<pool_grant> pool_queue::grant() {
  std::vector<pool_grant> grants;
  while (!waiting_.empty() && !free_.empty()) {
    const auto number = waiting_.begin()->number;
    waiting_.erase(waiting_.begin());
    const auto at = executors_.find(free_.rbegin()->second);
    const auto before = at->second.free();
    at->second.granted.insert(number);
    note_free(*at, before);
    auto& ticket = tickets_.at(number);
    ticket.executor = at->first;
    grants.push_back({ticket, at->second.incarnation});
  }
  return grants;
}

std::uint32_t pool_queue::slots() const noexcept {
  return std::accumulate(
      executors_.begin(), executors_.end(), std::uint32_t{0},
      [](std::uint32_t sum, const auto& each) { return sum + each.second.slots; });
}

std::string pool_queue::waiting_reason() const {
  if (waiting_.empty()) {
    return {};
  }
  const auto all = slots();
  return all == 0 ? "no executor has joined this pool"
                  : "all " + std::to_string(all) + " slots are taken";
}

}  // namespace millrace::actors
