// SPDX-License-Identifier: MIT
// Which tickets of a pool make way for others, and what those are promised.
#include <algorithm>
#include <numeric>
#include <tuple>

#include "pipeline/names.h"
#include "pool/pool_queue.h"

namespace millrace::actors {

namespace {

// Those that lose the least come first: of the lowest priority, then the youngest.
bool ends_before(const pool_ticket* a, const pool_ticket* b) {
  return std::tuple{a->priority, b->granted_at, b->number} <
         std::tuple{b->priority, a->granted_at, a->number};
}

// What a person reads of the one that makes way. Tasks of other projects are not named.
std::string reason_of(const pool_ticket& ends, const pool_ticket& by) {
  const auto slash = by.task.find('/');
  const auto who = ends.wish.project == by.wish.project
                       ? "'" + by.task.substr(slash + 1) + "' of run " + by.task.substr(0, slash)
                       : std::string{"a task of another project"};
  return "preempted by " + who + ", priority " + std::to_string(by.priority);
}

}  // namespace

void pool_queue::load::add(const pool_ticket& ticket) {
  ++slots;
  for (const auto& [name, amount] : ticket.wish.resources) {
    resources[name] += amount;
  }
}

void pool_queue::load::remove(const pool_ticket& ticket) {
  --slots;
  for (const auto& [name, amount] : ticket.wish.resources) {
    resources[name] -= amount;
  }
}

bool pool_queue::may_preempt(std::uint32_t priority, std::string_view project) const {
  const auto* share = shares_.find(project);
  return share->limits.preempts_from && priority >= *share->limits.preempts_from;
}

// Whether anybody may preempt at the priority, and somebody could make way in the pool.
bool pool_queue::has_prey(std::string_view pool, std::uint32_t priority) const {
  return preempts_from_ && priority >= *preempts_from_ &&
         std::any_of(executors_.begin(), executors_.end(), [&](const auto& each) {
           const auto& prey = each.second.prey;
           return belongs(each.second.pools, pool) && !prey.empty() &&
                  prey.begin()->first < priority;
         });
}

// Whether the executor has a place beside what is taken, and what is kept of it stays.
bool pool_queue::fits(const ticket_shape& of, const offer& at, const load& taken) {
  return taken.slots + at.kept_slots < at.slots &&
         std::all_of(of.resources.begin(), of.resources.end(), [&](const auto& wanted) {
           const auto& [name, amount] = wanted;
           const auto left = left_of(at.offered, taken.resources, name);
           return left >= amount && left - amount >= amount_of(at.kept_resources, name);
         });
}

// Who has to end there for one of the shape to have a place; nothing: it could not have one. What
// ends anyway counts as gone, and what was promised to a lower priority gives way again.
std::optional<std::vector<std::uint64_t>> pool_queue::to_end_at(const ticket_shape& of,
                                                                const offer& at) const {
  load taken;
  std::vector<const pool_ticket*> prey;
  for (const auto number : at.granted) {
    const auto& each = tickets_.at(number);
    if (each.preempted_for != 0 || (each.promised && each.priority < of.priority)) {
      continue;
    }
    taken.add(each);
    if (each.wish.preemptible && each.priority < of.priority) {
      prey.push_back(&each);
    }
  }
  std::sort(prey.begin(), prey.end(), ends_before);
  auto chosen = prey.begin();
  while (!fits(of, at, taken) && chosen != prey.end()) {
    taken.remove(**chosen++);
  }
  if (!fits(of, at, taken)) {
    return std::nullopt;
  }
  prey.erase(chosen, prey.end());
  std::vector<std::uint64_t> ends;
  for (auto each = prey.rbegin(); each != prey.rend(); ++each) {  // who loses the most goes first
    taken.add(**each);
    if (!fits(of, at, taken)) {
      taken.remove(**each);
      ends.push_back((*each)->number);
    }
  }
  return ends;
}

// The executor where the least is lost: the lowest priority, then the fewest, then the youngest.
bool pool_queue::make_place(choice& into) {
  const auto& shape = into.at->first;
  std::tuple<std::uint32_t, std::size_t, runtime::duration> least;
  for (auto& each : executors_) {
    auto& [name, one] = each;
    auto ends = could_go(shape, name, one) ? to_end_at(shape, one) : std::nullopt;
    if (!ends) {
      continue;
    }
    std::tuple<std::uint32_t, std::size_t, runtime::duration> loss{0, ends->size(), {}};
    for (const auto number : *ends) {
      const auto& ticket = tickets_.at(number);
      std::get<0>(loss) = std::max(std::get<0>(loss), ticket.priority);
      std::get<2>(loss) -= ticket.granted_at.time_since_epoch();
    }
    if (!into.ends || loss < least) {
      least = loss;
      into.to = &each;
      into.ends = std::move(ends);
    }
  }
  return into.ends.has_value();
}

void pool_queue::preempt(std::uint64_t number, const pool_ticket& by) {
  auto& ends = tickets_.at(number);
  auto& at = executors_.at(ends.executor);
  count_prey(at, ends, -1);
  ends.preempted_for = by.number;
  preempted_.push_back({ends, reason_of(ends, by)});
}

void pool_queue::break_promise(const std::string& executor, std::uint64_t number,
                               runtime::wall_time now) {
  auto& at = executors_.at(executor);
  auto ticket = std::move(tickets_.extract(number).mapped());
  const auto pace = at.pace;
  give_back(at, ticket, std::max(now, ticket.granted_at));
  at.pace = pace;
  const auto run = run_of(ticket.task);
  changed_.insert(number);
  put_back(std::move(ticket));
  free_run(run);
}

// In their order: what can go now goes, what could not once all has made way waits again. One that
// has to wait is not passed by those behind it.
void pool_queue::keep_promises(const std::string& executor, runtime::wall_time now,
                               std::vector<pool_grant>& grants) {
  auto& at = executors_.at(executor);
  load now_taken;
  load then_taken;
  for (const auto number : at.granted) {
    const auto& each = tickets_.at(number);
    if (!each.promised) {
      now_taken.add(each);
    }
    if (!each.promised && each.preempted_for == 0) {
      then_taken.add(each);
    }
  }
  std::vector<std::uint64_t> order{at.promised.begin(), at.promised.end()};
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
    return tickets_.at(a).priority > tickets_.at(b).priority;
  });
  forget_kept(at);
  auto is_passed = false;
  for (const auto number : order) {
    auto& ticket = tickets_.at(number);
    const auto shape = shape_of(ticket);
    const auto is_its = shape.hold == run_hold::none && at.slots > 0 && serves(at, shape) &&
                        (shape.executor.empty() || shape.executor == executor);
    if (!is_its || !fits(shape, at, then_taken)) {
      break_promise(executor, number, now);
      continue;
    }
    then_taken.add(ticket);
    is_passed = is_passed || !fits(shape, at, now_taken);
    if (!is_passed) {
      now_taken.add(ticket);
      count_prey(at, ticket, -1);
      at.promised.erase(number);
      ticket.promised = false;
      ticket.granted_at = now;
      count_prey(at, ticket, 1);
      grants.push_back({ticket, at.incarnation, promised_runs_.erase(run_of(ticket.task)) > 0});
    }
  }
}

void pool_queue::keep_promises(runtime::wall_time now, std::vector<pool_grant>& grants) {
  for (const auto& [name, one] : executors_) {
    if (!one.promised.empty()) {
      keep_promises(name, now, grants);
    }
  }
}

pool_news pool_queue::take_news() {
  pool_news news;
  for (const auto number : changed_) {
    if (const auto found = tickets_.find(number); found != tickets_.end()) {
      news.changed.push_back(found->second);
    }
  }
  news.preempted = std::move(preempted_);
  changed_.clear();
  preempted_.clear();
  return news;
}

std::size_t pool_queue::preempting() const noexcept {
  std::size_t count = 0;
  for (const auto& [name, one] : executors_) {
    count += static_cast<std::size_t>(
        std::count_if(one.granted.begin(), one.granted.end(),
                      [&](auto number) { return tickets_.at(number).preempted_for != 0; }));
  }
  return count;
}

}  // namespace millrace::actors
