// SPDX-License-Identifier: MIT
#include "pool/pool_queue.h"

#include <algorithm>
#include <numeric>

#include "millrace/runtime/assert.h"
#include "pipeline/names.h"

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

void pool_queue::restore_run(std::string_view run, std::string_view executor) {
  runs_.emplace(run, executor);
  if (!executor.empty()) {
    executors_[std::string{executor}].runs.emplace(run);
  }
}

// Where a ticket stands that nobody has been granted.
std::set<pool_queue::place>& pool_queue::waiting_with(const pool_ticket& ticket) {
  const auto run = ticket.shared ? runs_.find(run_of(ticket.task)) : runs_.end();
  if (run == runs_.end()) {
    return waiting_;
  }
  return run->second.empty() ? held_ : executors_.at(run->second).waiting;
}

void pool_queue::restore(pool_ticket ticket) {
  by_attempt_[{ticket.task, ticket.attempt}] = ticket.number;
  if (ticket.executor.empty()) {
    waiting_with(ticket).insert({ticket.priority, ticket.number});
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
  life.drains = false;
  return lost;
}

void pool_queue::put_back(pool_ticket ticket) {
  ticket.executor.clear();
  restore(std::move(ticket));
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

std::vector<pool_ticket> pool_queue::remove(std::string_view executor, std::string_view heir) {
  const auto found = executors_.find(executor);
  if (found == executors_.end()) {
    return {};
  }
  auto taken = take_granted(found->second);
  auto& next = executors_[std::string{heir}];
  for (const auto& run : found->second.runs) {
    runs_.find(run)->second = heir;
  }
  next.runs.merge(found->second.runs);
  next.waiting.merge(found->second.waiting);
  executors_.erase(found);
  return taken;
}

std::vector<pool_ticket> pool_queue::lose(std::string_view executor) {
  leave(executor);
  const auto found = executors_.find(executor);
  return found != executors_.end() ? take_granted(found->second) : std::vector<pool_ticket>{};
}

void pool_queue::drain(std::string_view executor, bool drains, std::string_view refusal) {
  if (const auto at = executors_.find(executor); at != executors_.end()) {
    at->second.drains = drains;
    at->second.refusal = refusal;
  }
}

void pool_queue::leave(std::string_view executor) {
  if (const auto at = executors_.find(executor); at != executors_.end()) {
    at->second.slots = 0;
  }
}

std::optional<pool_ticket> pool_queue::enqueue(std::uint64_t number, std::string_view task,
                                               std::uint32_t attempt, std::uint8_t priority,
                                               bool shared) {
  MILLRACE_ASSERT(tickets_.empty() || number > tickets_.rbegin()->first);
  if (!by_attempt_.try_emplace({std::string{task}, attempt}, number).second) {
    return std::nullopt;
  }
  pool_ticket made{number, std::string{task}, attempt, priority, {}, shared};
  waiting_with(made).insert({priority, number});
  return tickets_.emplace(number, std::move(made)).first->second;
}

std::optional<pool_ticket> pool_queue::release(std::string_view task, std::uint32_t attempt) {
  const auto found = by_attempt_.find({std::string{task}, attempt});
  if (found == by_attempt_.end()) {
    return std::nullopt;
  }
  auto ticket = std::move(tickets_.extract(found->second).mapped());
  by_attempt_.erase(found);
  if (ticket.executor.empty()) {
    waiting_with(ticket).erase({ticket.priority, ticket.number});
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

// Nobody has the run any more; what waits of it waits elsewhere.
void pool_queue::take_run(std::string_view run, std::set<place>& to) {
  for (const auto& each : of_tasks(std::string{run} + "/")) {
    if (each.shared && each.executor.empty()) {
      to.insert(waiting_with(each).extract({each.priority, each.number}));
    }
  }
  const auto found = runs_.find(run);
  if (!found->second.empty()) {
    auto& had = executors_.at(found->second).runs;
    had.erase(had.find(run));
  }
}

void pool_queue::hold_run(std::string_view run) {
  if (const auto found = runs_.find(run); found != runs_.end() && !found->second.empty()) {
    take_run(run, held_);
    found->second.clear();
  }
}

void pool_queue::forget_run(std::string_view run) {
  if (const auto found = runs_.find(run); found != runs_.end()) {
    take_run(run, waiting_);
    runs_.erase(found);
  }
}

std::string_view pool_queue::executor_of(std::string_view run) const {
  const auto found = runs_.find(run);
  return found != runs_.end() ? std::string_view{found->second} : std::string_view{};
}

std::vector<std::string> pool_queue::runs_of(std::string_view executor, std::size_t limit) const {
  std::vector<std::string> runs;
  if (const auto found = executors_.find(executor); found != executors_.end()) {
    const auto& all = found->second.runs;
    std::copy_n(all.begin(), std::min(limit, all.size()), std::back_inserter(runs));
  }
  return runs;
}

// The run is the executor's, and so is what waits of it.
void pool_queue::pin(const std::string& run, offers::value_type& to) {
  for (const auto& each : of_tasks(run + "/")) {
    if (each.shared && each.executor.empty()) {
      to.second.waiting.insert(waiting_.extract({each.priority, each.number}));
    }
  }
  to.second.runs.insert(run);
  runs_.emplace(run, to.first);
}

bool pool_queue::has_room(const offer& at, std::uint8_t priority, reach how) const {
  if (at.drains) {
    return false;
  }
  if (at.granted.size() < at.slots) {
    return true;
  }
  const auto before_it =
      std::accumulate(at.by_priority.lower_bound(priority), at.by_priority.end(), std::size_t{0},
                      [](std::size_t sum, const auto& counted) { return sum + counted.second; });
  return how == reach::ahead && ahead_ > 0 && at.slots > 0 &&
         before_it < std::size_t{at.slots} + ahead_;
}

// The executor with the most free slots, or else a lone one with a place ahead of them; none if all
// is taken.
pool_queue::offers::value_type* pool_queue::best_for(std::uint8_t priority) {
  const auto offering = std::count_if(executors_.begin(), executors_.end(), [](const auto& each) {
    return each.second.slots > 0 && !each.second.drains;
  });
  const auto free = [](const offer& each) {
    return static_cast<std::int64_t>(each.slots) - static_cast<std::int64_t>(each.granted.size());
  };
  offers::value_type* best = nullptr;
  for (auto& each : executors_) {
    if ((best == nullptr || free(each.second) > free(best->second)) &&
        has_room(each.second, priority, offering == 1 ? reach::ahead : reach::slots)) {
      best = &each;
    }
  }
  return best;
}

// The executor whose first waiting ticket comes before those of the others, of those with room.
pool_queue::offers::value_type* pool_queue::next_pinned() {
  offers::value_type* next = nullptr;
  for (auto& each : executors_) {
    const auto& waiting = each.second.waiting;
    if (!waiting.empty() && has_room(each.second, waiting.begin()->priority, reach::ahead) &&
        (next == nullptr || *waiting.begin() < *next->second.waiting.begin())) {
      next = &each;
    }
  }
  return next;
}

std::vector<pool_grant> pool_queue::grant() {
  std::vector<pool_grant> grants;
  for (;;) {
    auto* to = next_pinned();
    auto* from = to != nullptr ? &to->second.waiting : nullptr;
    if (!waiting_.empty() && (to == nullptr || *waiting_.begin() < *from->begin())) {
      from = &waiting_;
      to = best_for(waiting_.begin()->priority);
    }
    if (to == nullptr) {
      return grants;  // also where a later one could be: it would be ahead of this one
    }
    auto& ticket = tickets_.at(from->begin()->number);
    const auto pins = ticket.shared && from == &waiting_;
    from->erase(from->begin());
    take(to->second, ticket);
    ticket.executor = to->first;
    if (pins) {
      pin(run_of(ticket.task), *to);
    }
    grants.push_back({ticket, to->second.incarnation, pins});
  }
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
  if (all == 0) {
    return "no executor has joined this pool";
  }
  if (running() == all) {
    return "all " + std::to_string(all) + " slots are taken";
  }
  std::string text =
      held_.empty() ? "" : "the workspace of their run was lost, and what it ran has not all ended";
  for (const auto& [name, each] : executors_) {
    if (each.drains) {
      text += (text.empty() ? "" : "; ") + std::string{"executor '"} + name +
              (each.refusal.empty() ? "' is being drained and takes nothing new"
                                    : "' takes nothing new: " + each.refusal);
      continue;
    }
    if (each.waiting.empty() && each.granted.size() <= each.slots) {
      continue;
    }
    text += (text.empty() ? "" : "; ") + std::string{"executor '"} + name +
            "' has the workspaces of their runs, and " +
            (each.slots == 0 ? std::string{"is away"}
                             : "its " + std::to_string(each.slots) + " slots are taken");
  }
  return text;
}

}  // namespace millrace::actors
