// SPDX-License-Identifier: MIT
// Why tickets wait, for people.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "pipeline/names.h"
#include "pool/pool_queue.h"

namespace millrace::actors {

namespace {

std::string counted(std::size_t number, std::string_view one, std::string_view many) {
  return std::to_string(number) + " " + std::string{number == 1 ? one : many};
}

std::string quoted(std::string_view text) {
  return "'" + std::string{text} + "'";
}

// `RUN/task` as a person calls it.
std::string task_text(std::string_view key) {
  const auto slash = key.find('/');
  return quoted(key.substr(slash + 1)) + " of run " + std::string{key.substr(0, slash)};
}

// Which of the resources an offer has too little of; none: it has enough.
const resource_amounts::value_type* lacking(const resource_amounts& wanted,
                                            const resource_amounts& offered,
                                            const resource_amounts& taken) {
  const auto found = std::find_if(wanted.begin(), wanted.end(), [&](const auto& each) {
    return left_of(offered, taken, each.first) < each.second;
  });
  return found != wanted.end() ? &*found : nullptr;
}

// What a task, or all ranks of a gang, ask for.
std::string wish_text(const ticket_shape& of, const resource_amounts::value_type& wanted,
                      std::string_view what_task) {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  const auto count = std::max(of.ranks, 1U);
  const auto all = wanted.second > most / count ? most : wanted.second * count;
  return (of.ranks > 0 ? std::to_string(of.ranks) + " ranks want " : std::string{what_task}) +
         short_amount(wanted.first, all);
}

// What could never be granted, whatever else is.
std::string never_text(const ticket_shape& of, const project_limits& limits,
                       const resource_amounts::value_type& wanted) {
  const auto& name = wanted.first;
  return wish_text(of, wanted, "wants ") + " " + name + "; the project " + quoted(of.project) +
         " may have " + short_amount(name, amount_of(limits.resources, name)) +
         " at a time: ask for less, or have its max_" + name + " raised";
}

// Of all slots that there are.
std::string taken_text(std::uint32_t slots, const std::string& of_pool) {
  return slots == 1 ? "the only slot" + of_pool + " is taken"
                    : "all " + std::to_string(slots) + " slots" + of_pool + " are taken";
}

// Whoever may run a pipeline names as many pools as he likes.
constexpr std::size_t told_pools_max = 10;
constexpr std::size_t looked_pools_max = 100;

std::string part_text(double part) {
  return std::to_string(static_cast<int>(std::lround(100 * part))) + "%";
}

}  // namespace

void pool_queue::add_pools(const std::function<void(const std::string&)>& add) const {
  std::size_t told = 0;
  std::size_t more = 0;
  for (const auto& use : pools(looked_pools_max)) {
    if (use.waiting == 0 || (use.slots > 0 && use.taken < use.slots)) {
      continue;
    }
    if (told == told_pools_max) {
      ++more;
      continue;
    }
    ++told;
    add(use.slots == 0 ? reason_of_pool({.pool = use.pool})
                       : taken_text(use.slots, " of pool " + use.pool));
  }
  if (more > 0) {
    add(waiting_in_.size() > looked_pools_max
            ? std::string{"so it is in more pools"}
            : "so it is in " + counted(more, "other pool", "other pools"));
  }
}

std::string pool_queue::waiting_reason() const {
  if (waiting() == 0) {
    return {};
  }
  const auto all = slots();
  if (all == 0 && waiting_in_.size() < 2) {
    return waiting_in_.empty() ? "no executor is there"
                               : reason_of_pool({.pool = waiting_in_.begin()->first});
  }
  if (running() == all && of_pool_text(default_pool).empty()) {
    return "all " + std::to_string(all) + " slots are taken";
  }
  const auto any_shape = [this](const auto& is_so) {
    const auto& all_shapes = waiting_.all();
    return std::any_of(all_shapes.begin(), all_shapes.end(),
                       [&](const auto& each) { return is_so(each.first); });
  };
  std::string text = any_shape([](const auto& of) { return of.hold == run_hold::lost; })
                         ? "the workspace of their run was lost, and what it ran has not all ended"
                         : "";
  const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
  if (!of_pool_text(default_pool).empty()) {
    add_pools(add);
  }
  if (any_shape([](const auto& of) { return of.hold == run_hold::paused; })) {
    add("their run is paused");
  }
  for (const auto& [name, each] : executors_) {
    if (each.drains) {
      add("executor '" + name +
          (each.refusal.empty() ? "' is being drained and takes nothing new"
                                : "' takes nothing new: " + each.refusal));
      continue;
    }
    const auto has_waiting =
        any_shape([&executor = name](const auto& of) { return of.executor == executor; });
    if ((has_waiting && (each.slots == 0 || each.granted.size() >= each.slots)) ||
        each.granted.size() > each.slots) {
      add("executor '" + name + "' has the workspaces of their runs, and " +
          (each.slots == 0 ? std::string{"is away"}
                           : "its " + std::to_string(each.slots) + " slots are taken"));
    }
  }
  if (any_shape([](const auto& of) { return of.ranks > 0; })) {
    add("a gang waits for as many free places as it has ranks");
  }
  if (text.empty()) {
    text = "what they ask for besides a slot is taken; each task tells its own reason";
  }
  return text;
}

std::string pool_queue::reason(std::string_view task, runtime::wall_time now) const {
  auto found = by_attempt_.lower_bound({std::string{task}, 0});
  const pool_ticket* latest = nullptr;
  for (; found != by_attempt_.end() && found->first.first == task; ++found) {
    latest = &tickets_.at(found->second);
  }
  return latest != nullptr ? reason_at(*latest, now) : std::string{};
}

// The first thing that is in its way, in the order in which grants meet them.
std::string pool_queue::reason_at(const pool_ticket& ticket, runtime::wall_time now) const {
  if (ticket.preempted_for != 0) {
    return "makes way for another";
  }
  if (ticket.promised) {
    return reason_of_promise(ticket);
  }
  if (!ticket.executor.empty()) {
    return "is next at " + ticket.executor + ", which starts it when a slot is free";
  }
  const auto shape = shape_of(ticket);
  if (shape.hold != run_hold::none) {
    return shape.hold == run_hold::paused
               ? "its run is paused"
               : "the workspace of its run was lost, and what that ran has not all ended";
  }
  if (ticket.wish.gang) {
    return reason_of_gang(ticket);
  }
  if (auto nowhere = reason_of_places(shape); !nowhere.empty()) {
    return nowhere;
  }
  if (auto quota = reason_of_quota(ticket, shape); !quota.empty()) {
    return quota;
  }
  if (const auto* share = shares_.find(shape.project); !share->may_run()) {
    return "the project " + quoted(shape.project) + " has " +
           counted(share->running, "task that runs", "tasks that run") + ", and may have " +
           std::to_string(share->limits.max_running) + " at a time";
  }
  if (!shares_.find(shape.project)->may_run(1 + kept_of_quota(shape, ticket.number).ranks)) {
    return "what the project " + quoted(shape.project) +
           " may have at a time is kept for a gang that has waited longer";
  }
  if (const auto* lock = locks_.missing(ticket)) {
    return reason_of_lock(ticket, *lock);
  }
  if (auto resources = reason_of_resources(ticket, shape); !resources.empty()) {
    return resources;
  }
  if (auto kept = reason_of_kept_slots(ticket, shape); !kept.empty()) {
    return kept;
  }
  return reason_of_order(ticket, now);
}

std::string pool_queue::refusal(const pool_wish& wish) const {
  const auto* share = shares_.find(wish.project);
  ticket_shape shape;
  shape.project = wish.project;
  shape.ranks = wish.gang ? wish.gang->ranks : 0;
  const auto* never = share != nullptr ? project_share::never_has(share->limits, wish.resources,
                                                                  std::max(shape.ranks, 1U))
                                       : nullptr;
  return never != nullptr ? never_text(shape, share->limits, *never) : std::string{};
}

// What its project may have of resources and disks; empty: that is not in its way.
std::string pool_queue::reason_of_quota(const pool_ticket& ticket, const ticket_shape& of) const {
  const auto& share = *shares_.find(of.project);
  const auto count = std::max(of.ranks, 1U);
  if (share.is_full()) {
    return "waits for storage: runs of the project " + quoted(of.project) + " hold " +
           short_amount("memory", share.storage) + " on the disks of executors, and may hold " +
           short_amount("memory", share.limits.max_storage) +
           ": remove some, or have its max_storage raised";
  }
  if (const auto* never = project_share::never_has(share.limits, of.resources, count)) {
    return never_text(of, share.limits, *never);
  }
  if (const auto* lacks = share.lacks(of.resources, count)) {
    const auto& name = lacks->first;
    return "waits for " + name + ": the project " + quoted(of.project) + " uses " +
           short_amount(name, amount_of(share.taken, name)) + " of " +
           short_amount(name, amount_of(share.limits.resources, name)) + ", and " +
           wish_text(of, *lacks, "this task wants ");
  }
  const auto* kept = share.lacks(of.resources, count, kept_of_quota(of, ticket.number).resources);
  if (kept == nullptr) {
    return {};
  }
  const auto text =
      "what the project " + quoted(of.project) + " may have of " + kept->first + " is kept for ";
  const auto& other = *keeper_of_quota(of.project);
  return text + (other.wish.gang ? "a gang that has waited longer"
                                 : task_text(other.task) + ", which has waited longer");
}

// Some that end for it may have ended, and others may end for what came before it.
std::string pool_queue::reason_of_promise(const pool_ticket& ticket) const {
  const pool_ticket* named = nullptr;
  std::size_t ending = 0;
  for (const auto number : executors_.at(ticket.executor).granted) {
    const auto& each = tickets_.at(number);
    if (each.preempted_for == 0) {
      continue;
    }
    ++ending;
    if (named == nullptr ||
        (each.preempted_for == ticket.number && named->preempted_for != ticket.number)) {
      named = &each;
    }
  }
  const auto place = " at " + ticket.executor;
  if (named == nullptr) {
    return "is next" + place;
  }
  const auto is_own = named->wish.project == ticket.wish.project;
  return "waits for the end of " +
         (is_own ? task_text(named->task) : std::string{"a task of another project"}) +
         (ending > 1 ? " and " + counted(ending - 1, "other", "others") : "") + place +
         (ending > 1 ? ", which are preempted" : ", which is preempted");
}

std::string pool_queue::reason_of_lock(const pool_ticket& ticket, const pool_lock& lock) const {
  const auto key = lock_table::key(ticket.wish.project, lock);
  const auto what = "waits for the " + std::string{lock.limit == 0 ? "mutex " : "semaphore "} +
                    quoted(lock.name) + ", which is ";
  const auto* kept = locks_.kept_before(key, ticket);
  const auto* held = locks_.holders(key);
  if (kept != nullptr && (held == nullptr || held->size() < std::max(lock.limit, 1U))) {
    return what + "kept for " + task_text(tickets_.at(kept->number).task) +
           ", which has waited longer";
  }
  const auto& holders = *held;
  return what + "held by " + task_text(tickets_.at(*holders.begin()->second.begin()).task) +
         (holders.size() > 1 ? " and " + counted(holders.size() - 1, "other", "others") : "");
}

std::string pool_queue::of_pool_text(std::string_view pool) const {
  const auto is_default = [](const pool_names& pools) {
    return pools.size() == 1 && belongs(pools, default_pool);
  };
  const auto is_alone = pool == default_pool &&
                        std::all_of(waiting_in_.begin(), waiting_in_.end(),
                                    [](const auto& each) { return each.first == default_pool; }) &&
                        std::all_of(executors_.begin(), executors_.end(), [&](const auto& each) {
                          return each.second.pools.empty() || is_default(each.second.pools);
                        });
  return is_alone ? std::string{} : " of pool " + std::string{pool};
}

// Of a pool of which no executor is there.
std::string pool_queue::reason_of_pool(const ticket_shape& of) const {
  std::vector<std::string_view> away;
  for (const auto& [name, one] : executors_) {
    if (belongs(one.pools, of.pool)) {
      away.push_back(name);
    }
  }
  const auto text = "waits for pool " + of.pool + ": ";
  if (away.empty()) {
    return text + "no executor of a silo belongs to it";
  }
  return away.size() == 1
             ? text + std::string{away.front()} + " belongs to it, and is away"
             : text + counted(away.size(), "", "executors belong to it, and all are away");
}

// Nobody who could have it takes anything; empty: somebody does.
std::string pool_queue::reason_of_places(const ticket_shape& of) const {
  std::string refuses;  // the first of them
  std::string how;
  auto takes = false;
  for (const auto& [name, each] : executors_) {
    if ((!of.executor.empty() && of.executor != name) || !belongs(each.pools, of.pool)) {
      continue;
    }
    if (each.slots > 0 && !each.drains && serves(each, of)) {
      return {};
    }
    takes = takes || (each.slots > 0 && !each.drains);
    if (each.slots > 0 && refuses.empty()) {
      refuses = name;
      how = each.refusal.empty() ? " is being drained and takes nothing new"
                                 : " takes nothing new: " + each.refusal;
    }
  }
  if (takes) {
    std::string pools = of.pool;
    for (const auto& pool : of.run_pools) {
      pools += pool == of.pool ? "" : ", " + pool;
    }
    return "the tasks of its run share a workspace and want pools " + pools +
           "; no executor belongs to all of them";
  }
  if (!of.executor.empty()) {
    const auto at = executors_.find(of.executor);
    const auto is_there = at != executors_.end() && at->second.slots > 0;
    return "its run has its workspace at " + of.executor + ", which" +
           (!refuses.empty() ? how
            : is_there       ? " does not belong to pool " + of.pool
                             : " is away");
  }
  return refuses.empty() ? reason_of_pool(of) : refuses + how;
}

// Before it in order, and what that waits for at the executor would not be left; null: none.
const pool_ticket* pool_queue::keeper(const pool_ticket& ticket, const ticket_shape& of,
                                      const offers::value_type& at) const {
  const auto& name = at.first;
  const auto& one = at.second;
  for (const auto& [number, executor] : kept_) {
    const auto& other = tickets_.at(number);
    const auto is_before = other.priority != ticket.priority ? other.priority > ticket.priority
                                                             : number < ticket.number;
    const auto takes_of_it = [&](const resource_amounts::value_type& wanted) {
      const auto kept = amount_of(other.wish.resources, wanted.first);
      return kept > 0 && left_of(one.offered, one.taken, wanted.first) < wanted.second + kept;
    };
    if (executor == name && is_before && could_go(shape_of(other), name, one) &&
        locks_.missing(other) == nullptr && shares_.find(other.wish.project)->may_run() &&
        reason_of_quota(other, shape_of(other)).empty() &&
        std::any_of(of.resources.begin(), of.resources.end(), takes_of_it)) {
      return &other;
    }
  }
  return nullptr;
}

std::string pool_queue::reason_of_resources(const pool_ticket& ticket,
                                            const ticket_shape& of) const {
  if (of.resources.empty() && of.takes_any()) {
    return {};
  }
  auto wanted = of.at_most;
  for (const auto& [name, amount] : of.resources) {
    wanted[name] = std::max(wanted[name], amount);
  }
  const resource_amounts nothing;
  const auto may_have = [&](const std::string& name, const offer& one) {
    return one.slots > 0 && !one.drains && serves(one, of) &&
           (of.executor.empty() || of.executor == name);
  };
  const offers::value_type* most_slots = nullptr;
  for (const auto& each : executors_) {
    if (may_have(each.first, each.second) &&
        (most_slots == nullptr || each.second.slots > most_slots->second.slots)) {
      most_slots = &each;
    }
  }
  if (most_slots != nullptr && most_slots->second.slots < of.most_ranks) {
    return "a gang of its run has " + std::to_string(of.most_ranks) +
           " ranks, which share a workspace; the largest executor" + of_pool_text(of.pool) + ", " +
           most_slots->first + ", has " + counted(most_slots->second.slots, "slot", "slots");
  }
  // Of what nobody offers, the most that somebody does.
  const resource_amounts::value_type* never = nullptr;
  const std::string* largest = nullptr;
  auto offered = false;
  for (const auto& [name, one] : executors_) {
    if (!may_have(name, one)) {
      continue;
    }
    const auto* lacks = lacking(wanted, one.offered, nothing);
    offered = offered || lacks == nullptr;
    if (lacks != nullptr &&
        (never == nullptr || amount_of(one.offered, never->first) >
                                 amount_of(executors_.at(*largest).offered, never->first))) {
      never = never == nullptr ? lacks : never;
      largest = &name;
    }
  }
  if (!offered && never != nullptr) {
    const auto has = amount_of(executors_.at(*largest).offered, never->first);
    const auto what = describe_amount(never->first, never->second);
    const auto what_is = has == 0 ? "no " + never->first : format_amount(never->first, has);
    const auto* own = lacking(of.resources, executors_.at(*largest).offered, nothing);
    return (own != nullptr ? "wants " + what : "a task of its run wants " + what) +
           (!of.executor.empty() ? "; its run has its workspace at " + *largest + ", which offers "
            : has == 0           ? "; no executor" + of_pool_text(of.pool) + " offers any"
                       : "; the largest executor" + of_pool_text(of.pool) + ", " + *largest +
                             ", offers ") +
           (of.executor.empty() && has == 0 ? "" : what_is);
  }
  const offers::value_type* has_room = nullptr;
  const pool_ticket* kept_for = nullptr;
  for (const auto& each : executors_) {
    if (could_go(of, each.first, each.second) &&
        lacking(of.resources, each.second.offered, each.second.taken) == nullptr) {
      has_room = &each;
      kept_for = keeper(ticket, of, each);
      if (kept_for == nullptr) {
        return {};  // it lacks a slot
      }
    }
  }
  if (kept_for != nullptr) {
    const auto is_own = kept_for->wish.project == ticket.wish.project;
    return "what it wants is kept free at " + has_room->first + " for " +
           (is_own ? task_text(kept_for->task) : std::string{"a task of another project"}) +
           ", which has waited longer";
  }
  for (const auto& [name, one] : executors_) {
    if (!could_go(of, name, one)) {
      continue;
    }
    const auto* lacks = lacking(of.resources, one.offered, one.taken);
    const auto all = amount_of(one.offered, lacks->first);
    const auto left = left_of(one.offered, one.taken, lacks->first);
    const auto kept = kept_.find(ticket.number);
    return "wants " + describe_amount(lacks->first, lacks->second) + "; " + name + " has " +
           (left == 0 ? "none" : format_amount(lacks->first, left)) + " of " +
           format_amount(lacks->first, all) + " free" +
           (kept != kept_.end() ? "; " + kept->second + " is kept for it" : "");
  }
  return {};
}

// All that it needs is there but a slot.
std::string pool_queue::reason_of_order(const pool_ticket& ticket, runtime::wall_time now) const {
  const auto shape = shape_of(ticket);
  std::uint32_t taken = 0;
  auto everywhere = true;
  pool_names rivals;  // whose tickets may take those slots
  for (const auto& [name, one] : executors_) {
    const auto could = could_go(shape, name, one);
    taken += could ? one.slots : 0;
    everywhere =
        everywhere && (could || one.slots == 0 || one.drains || !belongs(one.pools, shape.pool));
    if (could) {
      rivals.insert(one.pools.begin(), one.pools.end());
    }
  }
  const auto pool = of_pool_text(shape.pool);
  std::string text;
  if (!shape.executor.empty()) {
    text = "its run has its workspace at " + shape.executor + ", where " +
           counted(taken, "slot is taken", "slots are taken");
  } else {
    text = everywhere && !pool.empty() ? taken_text(taken, pool)
                                       : counted(taken, "slot", "slots") + pool +
                                             (taken == 1 ? " is taken" : " are taken") +
                                             (everywhere ? "" : " where it can go");
  }
  std::size_t above = 0;
  std::size_t beside = 0;
  auto others = false;
  std::size_t competing = 0;
  double weights = 0;
  double used = 0;
  for (const auto& [of, those] : waiting_.all()) {
    if (of.hold != run_hold::none || !belongs(rivals, of.pool)) {
      continue;
    }
    if (of.priority > shape.priority) {
      above += those.numbers.size();
    } else if (of.priority == shape.priority && of.project == shape.project) {
      for (auto at = those.numbers.begin();
           at != those.numbers.end() && *at < ticket.number && beside <= counted_before_max; ++at) {
        ++beside;
      }
    } else if (of.priority == shape.priority) {
      others = true;
    }
  }
  for (const auto& [name, share] : shares_.all()) {
    if (share.running > 0 || share.waiting > 0) {
      ++competing;
      weights += share.limits.weight;
      used += fair_share::usage(share, now);
    }
  }
  if (above > 0) {
    text += "; " + std::to_string(above) + " of higher priority before it";
  }
  if (beside > 0) {
    text += "; " +
            (beside > counted_before_max ? "more than " + std::to_string(counted_before_max)
                                         : std::to_string(beside)) +
            " of its project before it";
  }
  const auto& own = *shares_.find(shape.project);
  const auto mine = used > 0 ? fair_share::usage(own, now) / used : 0;
  const auto share = weights > 0 ? own.limits.weight / weights : 1;
  if (others && competing > 1 && mine > share) {
    text += "; its project has used " + part_text(mine) + " lately, and its share is " +
            part_text(share);
  }
  return text;
}

}  // namespace millrace::actors
