// SPDX-License-Identifier: MIT
#include "pool/pool_queue.h"

#include <algorithm>
#include <numeric>

#include "millrace/runtime/assert.h"
#include "pipeline/names.h"

namespace millrace::actors {

namespace {

// What an attempt counts in its project's usage: slots, or processors.
double size_of(const pool_ticket& ticket) {
  constexpr double cpu_unit = 1'000;
  return std::max(1.0, static_cast<double>(amount_of(ticket.wish.resources, "cpu")) / cpu_unit);
}

}  // namespace

// --- what is granted -----------------------------------------------------------------------------

void pool_queue::take(offer& from, const pool_ticket& ticket) {
  from.granted.insert(ticket.number);
  ++from.by_priority[ticket.priority];
  for (const auto& [name, amount] : ticket.wish.resources) {
    from.taken[name] += amount;
  }
  if (ticket.promised) {
    from.promised.insert(ticket.number);
  }
  count_prey(from, ticket, 1);
  locks_.hold(ticket);
  shares_.granted(ticket.wish.project, size_of(ticket), ticket.wish.resources, ticket.granted_at);
  count_run(ticket, 0, 1);
}

void pool_queue::give_back(offer& to, const pool_ticket& ticket, runtime::wall_time now) {
  if (now >= ticket.granted_at && ticket.granted_at != runtime::wall_time{}) {
    const auto one = std::min<runtime::duration>((now - ticket.granted_at) / to.granted.size(),
                                                 2 * ahead_time);  // more would be unlearned slowly
    to.pace = to.pace ? (*to.pace + one) / 2 : one;
  }
  to.granted.erase(ticket.number);
  if (const auto at = to.by_priority.find(ticket.priority); --at->second == 0) {
    to.by_priority.erase(at);
  }
  for (const auto& [name, amount] : ticket.wish.resources) {
    if (const auto at = to.taken.find(name); (at->second -= amount) == 0) {
      to.taken.erase(at);
    }
  }
  to.promised.erase(ticket.number);
  count_prey(to, ticket, -1);
  locks_.give_back(ticket);
  waiting_.wake(ticket);
  shares_.ended(ticket.wish.project, size_of(ticket), ticket.wish.resources, now);
  count_run(ticket, 0, -1);
}

void pool_queue::count_prey(offer& at, const pool_ticket& ticket, int by) {
  if (ticket.promised || (ticket.wish.preemptible && ticket.preempted_for == 0)) {
    auto& count = at.prey[ticket.priority];
    count = static_cast<std::size_t>(static_cast<std::int64_t>(count) + by);
    if (count == 0) {
      at.prey.erase(ticket.priority);
    }
  }
}

// What was promised waits again: nobody has been told of it.
std::vector<pool_ticket> pool_queue::take_granted(offer& from, runtime::wall_time now) {
  std::vector<pool_ticket> taken;
  const auto promised = from.promised;
  const auto pace = from.pace;
  for (const auto number : std::set{from.granted}) {
    auto ticket = std::move(tickets_.extract(number).mapped());
    by_attempt_.erase({ticket.task, ticket.attempt});
    give_back(from, ticket, std::max(now, ticket.granted_at));
    if (promised.contains(number)) {
      const auto run = run_of(ticket.task);
      changed_.insert(number);
      put_back(std::move(ticket));
      free_run(run);
    } else {
      taken.push_back(std::move(ticket));
    }
  }
  from.pace = pace;  // none of them has ended by itself
  return taken;
}

// Counts the run in its project while it is queued.
void pool_queue::count_run(const pool_ticket& ticket, int waiting, int granted) {
  const auto add = [](std::uint32_t& to, int by) {
    to = static_cast<std::uint32_t>(static_cast<std::int64_t>(to) + by);
  };
  add(shares_.of(ticket.wish.project).waiting, waiting);
  const auto at = run_counts_.try_emplace(run_of(ticket.task)).first;
  auto& run = at->second;
  const auto was = run.is_queued();
  if (run.project.empty()) {
    run.project = ticket.wish.project;
  }
  add(run.waiting, waiting);
  add(run.granted, granted);
  add(shares_.of(run.project).queued_runs,
      static_cast<int>(run.is_queued()) - static_cast<int>(was));
  if (run.waiting == 0 && run.granted == 0) {
    run_counts_.erase(at);
  }
}

// --- what waits ----------------------------------------------------------------------------------

ticket_shape pool_queue::shape_of(const pool_ticket& ticket) const {
  const auto name = run_of(ticket.task);
  const auto run = ticket.shared ? runs_.find(name) : runs_.end();
  ticket_shape shape;
  shape.pool = ticket.wish.pool;
  shape.priority = ticket.priority;
  shape.project = ticket.wish.project;
  shape.resources = ticket.wish.resources;
  if (run != runs_.end()) {
    shape.executor = run->second;
  } else if (ticket.shared) {
    shape.at_most = ticket.wish.at_most;
    shape.most_ranks = ticket.wish.most_ranks;
    shape.run_pools = ticket.wish.run_pools;
  }
  if (ticket.wish.gang) {
    shape.ranks = ticket.wish.gang->ranks;
    shape.is_one_place = ticket.shared;
  }
  if (run != runs_.end() && run->second.empty()) {
    shape.hold = run_hold::lost;
  } else if (paused_.contains(name)) {
    shape.hold = run_hold::paused;
  }
  return shape;
}

void pool_queue::put_in(const pool_ticket& ticket) {
  if (ticket.wish.gang) {
    change_gang(ticket, [&](auto& numbers) { numbers.insert(ticket.number); });
  } else {
    waiting_.put_in(shape_of(ticket), ticket);
  }
  ++waiting_in_[ticket.wish.pool];
  count_run(ticket, 1, 0);
}

void pool_queue::take_out(const pool_ticket& ticket) {
  if (ticket.wish.gang) {
    change_gang(ticket, [&](auto& numbers) { numbers.erase(ticket.number); });
  } else {
    locks_.forget(ticket);
    waiting_.take_out(shape_of(ticket), ticket);
  }
  kept_.erase(ticket.number);
  if (const auto at = waiting_in_.find(ticket.wish.pool); --at->second == 0) {
    waiting_in_.erase(at);
  }
  count_run(ticket, -1, 0);
}

// A gang stands among what waits while all of it is there. The ticket may be on its way out.
template <class Change>
void pool_queue::change_gang(const pool_ticket& ticket, const Change& change) {
  const auto at = gangs_.try_emplace(key_of(*ticket.wish.gang)).first;
  auto& numbers = at->second;
  const auto when_whole = [&](const auto& tell) {
    if (numbers.size() == ticket.wish.gang->ranks) {
      const auto first = *numbers.begin();
      tell(first == ticket.number ? ticket : tickets_.at(first));
    }
  };
  when_whole([this](const pool_ticket& first) {
    locks_.forget(first);
    waiting_.take_out(shape_of(first), first);
  });
  change(numbers);
  when_whole([this](const pool_ticket& first) { waiting_.put_in(shape_of(first), first); });
  if (numbers.empty()) {
    gangs_.erase(at);
  }
}

// --- events --------------------------------------------------------------------------------------

void pool_queue::restore_run(std::string_view run, std::string_view executor) {
  runs_.emplace(run, executor);
  if (!executor.empty()) {
    executors_[std::string{executor}].runs.emplace(run);
  }
}

void pool_queue::restore_pause(std::string_view run) {
  paused_.emplace(run);
}

void pool_queue::restore(pool_ticket ticket) {
  by_attempt_[{ticket.task, ticket.attempt}] = ticket.number;
  const auto number = ticket.number;
  const auto& kept = tickets_.emplace(number, std::move(ticket)).first->second;
  if (kept.executor.empty()) {
    put_in(kept);
  } else {
    take(executors_[kept.executor], kept);
    if (const auto run = run_of(kept.task); kept.promised && kept.shared && !runs_.contains(run)) {
      move_run(run, kept.executor, false);
      promised_runs_.insert(run);
    }
  }
}

void pool_queue::restore_executor(std::string_view executor, std::uint64_t incarnation,
                                  std::uint32_t slots, resource_amounts resources,
                                  std::string_view host, pool_names pools) {
  auto& life = executors_[std::string{executor}];
  life.incarnation = incarnation;
  life.slots = slots;
  life.host = host;
  life.offered = std::move(resources);
  life.pools = std::move(pools);
}

void pool_queue::restore_usage(std::string_view project, double usage, runtime::wall_time at) {
  auto& one = shares_.of(project);
  one.usage = usage;
  one.at = at;
}

void pool_queue::set_limits(std::string_view project, const project_limits& limits) {
  shares_.of(project).limits = limits;
  preempts_from_.reset();
  for (const auto& [name, share] : shares_.all()) {
    if (const auto& from = share.limits.preempts_from) {
      preempts_from_ = std::min(*from, preempts_from_.value_or(*from));
    }
  }
}

std::vector<pool_ticket> pool_queue::join(std::string_view executor, std::uint64_t incarnation,
                                          std::uint32_t slots, resource_amounts resources,
                                          runtime::wall_time now, std::string_view host,
                                          pool_names pools) {
  auto& life = executors_[std::string{executor}];
  std::vector<pool_ticket> lost;
  if (life.incarnation != incarnation) {
    lost = take_granted(life, now);
    life.pace.reset();
  }
  life.incarnation = incarnation;
  life.slots = slots;
  life.offered = std::move(resources);
  life.host = host;
  life.pools = std::move(pools);
  life.drains = false;
  return lost;
}

void pool_queue::put_back(pool_ticket ticket) {
  ticket.executor.clear();
  ticket.granted_at = {};
  ticket.promised = false;
  ticket.preempted_for = 0;
  restore(std::move(ticket));
}

std::vector<pool_ticket> pool_queue::remove(std::string_view executor, std::string_view heir,
                                            runtime::wall_time now) {
  const auto found = executors_.find(executor);
  if (found == executors_.end()) {
    return {};
  }
  auto taken = take_granted(found->second, now);
  executors_.try_emplace(std::string{heir});
  for (const auto& run : std::set{found->second.runs}) {
    move_run(run, std::string{heir}, false);
  }
  forget_storage(found->second);
  executors_.erase(found);
  return taken;
}

std::vector<pool_ticket> pool_queue::lose(std::string_view executor, runtime::wall_time now) {
  leave(executor);
  const auto found = executors_.find(executor);
  if (found == executors_.end()) {
    return {};
  }
  forget_storage(found->second);
  return take_granted(found->second, now);
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
                                               std::uint32_t attempt, std::uint32_t priority,
                                               bool shared, pool_wish wish,
                                               runtime::wall_time now) {
  MILLRACE_ASSERT(tickets_.empty() || number > tickets_.rbegin()->first);
  if (by_attempt_.contains({std::string{task}, attempt})) {
    return std::nullopt;
  }
  const auto* project = shares_.find(wish.project);
  if (project != nullptr) {
    priority = std::min(priority, project->limits.max_priority.value_or(priority));
  }
  restore({number, std::string{task}, attempt, priority, {}, shared, std::move(wish), now});
  return tickets_.at(number);
}

std::optional<pool_ticket> pool_queue::release(std::string_view task, std::uint32_t attempt,
                                               runtime::wall_time now) {
  const auto found = by_attempt_.find({std::string{task}, attempt});
  if (found == by_attempt_.end()) {
    return std::nullopt;
  }
  auto ticket = std::move(tickets_.extract(found->second).mapped());
  by_attempt_.erase(found);
  if (ticket.executor.empty()) {
    take_out(ticket);
  } else {
    give_back(executors_.at(ticket.executor), ticket, now);
    free_run(run_of(ticket.task));
  }
  return ticket;
}

std::optional<pool_ticket> pool_queue::requeue(std::string_view task, std::uint32_t ended,
                                               std::uint32_t next, bool preemptible,
                                               runtime::wall_time now) {
  auto ticket = release(task, ended, now);
  if (!ticket) {
    return std::nullopt;
  }
  ticket->attempt = next;
  ticket->wish.preemptible = preemptible;
  const auto number = ticket->number;
  put_back(*std::move(ticket));
  return tickets_.at(number);
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

// --- runs that share a workspace -----------------------------------------------------------------

// What waits of the run is put elsewhere by the change.
template <class Change>
void pool_queue::change_run(std::string_view run, const Change& change) {
  std::vector<pool_ticket> moved;
  for (auto& each : of_tasks(std::string{run} + "/")) {
    if (each.executor.empty()) {
      moved.push_back(std::move(each));
    }
  }
  const auto kept = kept_;  // they wait as long as before
  for (const auto& each : moved) {
    take_out(each);
  }
  change();
  for (const auto& each : moved) {
    put_in(each);
    if (const auto at = kept.find(each.number); at != kept.end()) {
      kept_.insert(*at);
    }
  }
}

// The run is the executor's, or held, or else anybody's; what waits of it waits there.
void pool_queue::move_run(std::string_view run, const std::string& executor, bool held) {
  change_run(run, [&] {
    if (const auto found = promised_runs_.find(run); found != promised_runs_.end()) {
      promised_runs_.erase(found);
    }
    if (const auto found = runs_.find(run); found != runs_.end()) {
      if (!found->second.empty()) {
        auto& had = executors_.at(found->second).runs;
        had.erase(had.find(run));
      }
      runs_.erase(found);
    }
    if (held || !executor.empty()) {
      runs_.emplace(run, executor);
    }
    if (!executor.empty()) {
      executors_.at(executor).runs.emplace(run);
    }
  });
}

// Nobody has a run that was promised, once no promise of it stands.
void pool_queue::free_run(const std::string& run) {
  const auto count = run_counts_.find(run);
  if (promised_runs_.contains(run) && (count == run_counts_.end() || count->second.granted == 0)) {
    move_run(run, {}, false);
  }
}

void pool_queue::pause_run(std::string_view run, bool paused) {
  if (paused_.contains(run) != paused) {
    change_run(run, [&] {
      if (paused) {
        paused_.emplace(run);
      } else {
        paused_.erase(paused_.find(run));
      }
    });
  }
}

void pool_queue::hold_run(std::string_view run) {
  if (const auto found = runs_.find(run); found != runs_.end() && !found->second.empty()) {
    move_run(run, {}, true);
  }
}

void pool_queue::forget_run(std::string_view run) {
  if (runs_.contains(run)) {
    move_run(run, {}, false);
  }
}

std::string_view pool_queue::executor_of(std::string_view run) const {
  const auto found = runs_.find(run);
  return found != runs_.end() ? std::string_view{found->second} : std::string_view{};
}

std::vector<std::string> pool_queue::runs_of(std::string_view executor, std::size_t limit) const {
  std::vector<std::string> runs;
  if (const auto found = executors_.find(executor); found != executors_.end()) {
    for (const auto& run : found->second.runs) {
      if (runs.size() < limit && !promised_runs_.contains(run)) {
        runs.push_back(run);
      }
    }
  }
  return runs;
}

std::size_t pool_queue::running() const noexcept {
  return std::accumulate(
      executors_.begin(), executors_.end(), std::size_t{0}, [](std::size_t sum, const auto& each) {
        const auto& one = each.second;
        return sum + std::min<std::size_t>(one.granted.size() - one.promised.size(), one.slots);
      });
}

std::uint32_t pool_queue::slots() const noexcept {
  return std::accumulate(
      executors_.begin(), executors_.end(), std::uint32_t{0},
      [](std::uint32_t sum, const auto& each) { return sum + each.second.slots; });
}

std::vector<pool_offer> pool_queue::offers_made() const {
  std::vector<pool_offer> made;
  for (const auto& [name, each] : executors_) {
    made.push_back({name, each.slots, static_cast<std::uint32_t>(each.granted.size()),
                    !each.drains           ? ""
                    : each.refusal.empty() ? "is being drained"
                                           : each.refusal,
                    each.offered, each.taken, each.pools});
  }
  return made;
}

std::vector<pool_use> pool_queue::pools(std::size_t limit) const {
  std::set<std::string> known{std::string{default_pool}};
  for (const auto& [name, one] : executors_) {
    known.insert(one.pools.begin(), one.pools.end());
  }
  known.erase(std::string{every_pool});
  for (auto at = waiting_in_.begin(); at != waiting_in_.end() && known.size() < limit; ++at) {
    known.insert(at->first);
  }
  std::vector<pool_use> made;
  made.reserve(known.size());
  for (const auto& pool : known) {
    auto& use = made.emplace_back(pool_use{pool});
    for (const auto& [name, one] : executors_) {
      if (belongs(one.pools, pool) && one.slots > 0) {
        ++use.executors;
        use.slots += one.slots;
        use.taken += static_cast<std::uint32_t>(
            std::min<std::size_t>(one.granted.size() - one.promised.size(), one.slots));
      }
    }
    const auto waiting = waiting_in_.find(pool);
    use.waiting = waiting != waiting_in_.end() ? waiting->second : 0;
  }
  return made;
}

}  // namespace millrace::actors
