// SPDX-License-Identifier: MIT
// Which ticket of a pool is granted next, and to whom.
#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include "pipeline/names.h"
#include "pool/pool_queue.h"

namespace millrace::actors {

namespace {

std::int64_t free_slots(std::uint32_t slots, std::size_t granted) {
  return static_cast<std::int64_t>(slots) - static_cast<std::int64_t>(granted);
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
  if (at.drains || at.full) {
    return false;
  }
  if (at.free_slots() > 0) {
    return true;
  }
  const auto ahead = ahead_at(at);
  return how == reach::ahead && !at.closed && ahead > 0 && at.slots > 0 &&
         granted_before(at, priority) < std::size_t{at.slots} + ahead;
}

// Whether what was granted ahead comes after the priority and is next otherwise.
bool pool_queue::is_behind(const offer& at, std::uint32_t priority) const {
  return !at.drains && !at.full && at.granted.size() > at.slots &&
         granted_before(at, priority) < at.slots;
}

// Whether anything of the priority could be granted to anybody of the pool.
bool pool_queue::has_any_room(std::string_view pool, std::uint32_t priority) const {
  return std::any_of(executors_.begin(), executors_.end(), [&](const auto& each) {
    const auto& one = each.second;
    return belongs(one.pools, pool) &&
           (has_room(one, priority, reach::ahead) || is_behind(one, priority));
  });
}

bool pool_queue::serves(const offer& at, const ticket_shape& of) {
  return belongs(at.pools, of.pool) &&
         std::all_of(of.run_pools.begin(), of.run_pools.end(),
                     [&](const auto& pool) { return belongs(at.pools, pool); });
}

// Whether tickets of the shape could ever be granted to the executor, as it is now.
bool pool_queue::could_go(const ticket_shape& of, std::string_view executor,
                          const offer& to) const {
  return of.hold == run_hold::none && to.slots > 0 && !to.drains && serves(to, of) &&
         (of.executor.empty() || of.executor == executor) && covers(to.offered, of.resources) &&
         covers(to.offered, of.at_most) && to.slots >= of.most_ranks;
}

bool pool_queue::could_go(const ticket_shape& of) const {
  if (of.ranks > 0) {
    return gang_could_go(of);
  }
  if (project_share::never_has(shares_.find(of.project)->limits, of.resources) != nullptr) {
    return false;
  }
  return std::any_of(executors_.begin(), executors_.end(),
                     [&](const auto& each) { return could_go(of, each.first, each.second); });
}

// An executor that was there when they were kept may have gone.
void pool_queue::forget_vain_locks() {
  for (const auto number : locks_.kept_for()) {
    const auto& ticket = tickets_.at(number);
    if (!could_go(shape_of(ticket))) {
      locks_.forget(ticket);
      waiting_.wake(ticket);
    }
  }
}

// Whether the executor has what the shape asks for, and what is kept of it stays.
bool pool_queue::fits_now(const ticket_shape& of, const offer& to) {
  return std::all_of(of.resources.begin(), of.resources.end(), [&](const auto& wanted) {
    const auto& [name, amount] = wanted;
    const auto left = left_of(to.offered, to.taken, name);
    return left >= amount && left - amount >= amount_of(to.kept_resources, name);
  });
}

// Without resources and locks: the executor with the most free slots, or else a lone one, or the
// one that has the run, with a place ahead of them.
pool_queue::verdict pool_queue::look_plain(const ticket_shape& of, reach how,
                                           offers::value_type*& to) {
  if (!of.executor.empty()) {
    const auto found = executors_.find(of.executor);
    to = &*found;
    return serves(to->second, of) && has_room(to->second, of.priority, how) ? verdict::goes
                                                                            : verdict::passed;
  }
  const auto offering = std::count_if(executors_.begin(), executors_.end(), [&](const auto& each) {
    const auto& one = each.second;
    return one.slots > 0 && !one.drains && belongs(one.pools, of.pool);
  });
  to = nullptr;
  auto somebody = false;
  for (auto& each : executors_) {
    const auto& [name, one] = each;
    if (of.takes_any() ? !belongs(one.pools, of.pool) : !could_go(of, name, one)) {
      continue;
    }
    somebody = true;
    if ((to == nullptr || free_slots(one.slots, one.granted.size()) >
                              free_slots(to->second.slots, to->second.granted.size())) &&
        has_room(one, of.priority, offering == 1 ? how : reach::slots)) {
      to = &each;
    }
  }
  if (to != nullptr) {
    return verdict::goes;
  }
  if (of.takes_any()) {
    return verdict::full;
  }
  return somebody ? verdict::no_slot : verdict::passed;
}

// The executor where it leaves the most of what is scarcest, then the one with the most free slots;
// null: none has a place.
pool_queue::offers::value_type* pool_queue::best_place(const ticket_shape& of, reach how,
                                                       want_of& found) {
  offers::value_type* to = nullptr;
  auto best = -1.0;
  const auto places = std::count_if(executors_.begin(), executors_.end(), [&](const auto& each) {
    return could_go(of, each.first, each.second);
  });
  for (auto& each : executors_) {
    auto& [name, one] = each;
    if (!could_go(of, name, one)) {
      continue;
    }
    if (one.free_slots() == 0 &&
        (how == reach::slots || places > 1 || !is_behind(one, of.priority))) {
      found.slot = true;
    } else if (!fits_now(of, one)) {
      found.room = true;
    } else {
      auto left = 1.0;
      for (const auto& [resource, amount] : of.resources) {
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
  return to;
}

pool_queue::verdict pool_queue::look_wanting(const ticket_shape& of, const pool_ticket& first,
                                             runtime::wall_time now, offers::value_type*& to) {
  want_of found;
  to = best_place(of, reach::ahead, found);
  if (to != nullptr) {
    return verdict::goes;
  }
  const auto has_waited = kept_.contains(first.number) || now - first.queued_at >= patience;
  if (has_waited && found.room) {
    keep_one_for(of, first.number);
  }
  if (has_waited && (found.room || found.slot)) {
    quota_kept_for_.try_emplace(of.project, first.number);  // or the two would come in turn
  }
  return found.slot && !found.room ? verdict::no_slot : verdict::passed;
}

// The same one as before while it can be; else, of those that are kept for nobody before it, the
// one that has the greatest part of what is asked.
void pool_queue::keep_one_for(const ticket_shape& of, std::uint64_t number) {
  offer* best = nullptr;
  std::string_view best_name;
  auto most = -1.0;
  const auto known = kept_.find(number);
  for (auto& [name, one] : executors_) {
    if (one.keeps || !could_go(of, name, one)) {
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
    keep(*best, of, 1);
    kept_.insert_or_assign(number, std::string{best_name});
  }
}

// What so many of the shape ask for there, besides slots, is kept from what comes behind.
void pool_queue::keep(offer& at, const ticket_shape& of, std::uint32_t count) {
  at.keeps = true;
  at.closed = true;
  for (const auto& [name, amount] : of.resources) {
    at.kept_resources[name] += count * amount;
  }
}

void pool_queue::forget_kept(offer& at) {
  at.keeps = false;
  at.kept_resources.clear();
  at.kept_slots = 0;
}

const pool_ticket& pool_queue::first_of(shape_at at) const {
  return tickets_.at(at->second.ready.begin()->first);
}

pool_queue::verdict pool_queue::look_at(choice& made, runtime::wall_time now, search where) {
  ++looks_;
  auto& [at, to, ends, spread] = made;
  const auto& shape = at->first;
  const auto& first = first_of(at);
  if (const auto* missing = locks_.missing(first)) {
    if (now - first.queued_at >= patience && could_go(shape)) {
      locks_.keep(*missing, first);
    }
    kept_.erase(first.number);
    waiting_.park(at, *missing);
    return verdict::passed;
  }
  if (shape.ranks > 0) {
    return look_gang(made, now, where);
  }
  const auto is_plain = shape.resources.empty() && first.wish.locks.empty();
  if (has_prey(shape.pool, shape.priority) && may_preempt(shape.priority, shape.project)) {
    if (where == search::all && is_plain) {
      to = look_plain(shape, reach::slots, to) == verdict::goes ? to : nullptr;
    } else if (where == search::all) {
      want_of unused;
      to = best_place(shape, reach::slots, unused);
    }
    if (to != nullptr || make_place(made)) {
      return verdict::goes;
    }
  }
  if (where == search::made) {
    return verdict::passed;
  }
  const auto found =
      is_plain ? look_plain(shape, reach::ahead, to) : look_wanting(shape, first, now, to);
  if (found == verdict::no_slot) {
    for (auto& [name, one] : executors_) {
      one.closed = one.closed || could_go(shape, name, one);
    }
  }
  return found;
}

// --- the order -----------------------------------------------------------------------------------

// What something of the priority may still have in the pool, in this look; nothing: none can.
std::optional<pool_queue::search> pool_queue::search_in(std::string_view pool,
                                                        std::uint32_t priority) const {
  if (has_any_room(pool, priority)) {
    return search::all;
  }
  return has_prey(pool, priority) ? std::optional{search::made} : std::nullopt;
}

// Those of which something waits, and an executor takes something.
std::vector<std::string> pool_queue::open_pools() const {
  const auto& listed = waiting_.listed();
  std::set<std::string_view> open;
  for (const auto& [name, one] : executors_) {
    if (one.slots == 0 || one.drains) {
      continue;
    }
    if (one.pools.contains(every_pool)) {
      open.clear();
      for (const auto& [pool, levels] : listed) {
        open.insert(pool);
      }
      break;
    }
    for (const auto& pool : one.pools) {
      if (listed.contains(pool)) {
        open.insert(pool);
      }
    }
  }
  return {open.begin(), open.end()};
}

// Takes out those where nothing of the priority can be had. What no executor names is served by the
// same ones, those of all pools.
void pool_queue::close_pools(std::vector<std::string>& open, std::uint32_t priority) const {
  std::set<std::string_view> named;
  for (const auto& [name, one] : executors_) {
    named.insert(one.pools.begin(), one.pools.end());
  }
  std::optional<bool> others;
  std::erase_if(open, [&](const std::string& pool) {
    if (named.contains(pool)) {
      return !search_in(pool, priority);
    }
    others = others ? *others : !search_in(pool, priority);
    return *others;
  });
}

// The highest one below, or of all, at which something of these pools waits.
std::optional<std::uint32_t> pool_queue::next_priority(const std::vector<std::string>& pools,
                                                       std::optional<std::uint32_t> below) const {
  std::optional<std::uint32_t> highest;
  for (const auto& pool : pools) {
    const auto at = waiting_.listed().find(pool);
    if (at == waiting_.listed().end()) {
      continue;
    }
    const auto& levels = at->second;
    const auto level = below ? levels.upper_bound(*below) : levels.begin();
    if (level != levels.end()) {
      highest = std::max(level->first, highest.value_or(0));
    }
  }
  return highest;
}

// Of all pools, the shape whose first ticket is the oldest after that one.
std::optional<pool_queue::line_at> pool_queue::next_line(const std::vector<std::string>& pools,
                                                         std::uint32_t priority,
                                                         const std::string& project,
                                                         std::uint64_t after) const {
  std::optional<line_at> oldest;
  for (const auto& pool : pools) {
    const auto* lines = waiting_.find(pool, priority, project);
    if (lines == nullptr) {
      continue;
    }
    const auto line = lines->upper_bound(after);
    if (line != lines->end() && (!oldest || line->first < oldest->first)) {
      oldest = {pool, line->first, line->second};
    }
  }
  return oldest;
}

// Nothing is granted where the pool's executors are, though a later one could be: it would be ahead
// of what waits for any of them.
void pool_queue::close(std::string_view pool) {
  for (auto& [name, one] : executors_) {
    one.full = one.full || belongs(one.pools, pool);
  }
}

// Those that may be granted more, the one with the best claim first.
std::vector<std::string> pool_queue::in_order(const std::vector<std::string>& pools,
                                              std::uint32_t priority,
                                              runtime::wall_time now) const {
  std::map<std::string, std::uint64_t> oldest;  // ticket, by project
  for (const auto& pool : pools) {
    if (const auto* projects = waiting_.find(pool, priority)) {
      for (const auto& [project, lines] : *projects) {
        const auto first = lines.begin()->first;
        auto& known = oldest.try_emplace(project, first).first->second;
        known = std::min(known, first);
      }
    }
  }
  std::vector<std::tuple<double, std::uint64_t, std::string>> ranked;
  for (const auto& [project, first] : oldest) {
    const auto* share = shares_.find(project);
    if (share->may_run()) {
      ranked.emplace_back(oldest.size() > 1 ? fair_share::rank(*share, now) : 0, first, project);
    }
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> order;
  order.reserve(ranked.size());
  for (auto& each : ranked) {
    order.push_back(std::move(std::get<std::string>(each)));
  }
  return order;
}

// Those that places are kept for come before all of their priority.
std::optional<pool_queue::choice> pool_queue::look_at_gangs(const std::vector<shape_at>& kept,
                                                            std::uint32_t priority,
                                                            runtime::wall_time now) {
  const auto woken = waiting_.woken();
  for (const auto& at : kept) {
    const auto& pool = at->first.pool;
    const auto where = at->first.priority == priority ? search_in(pool, priority) : std::nullopt;
    if (!where) {
      continue;
    }
    choice made{at};
    if (!look_at_quota(at, now)) {
      gangs_kept_for_.erase(pool);  // another may have the places meanwhile
    } else if (look_at(made, now, *where) == verdict::goes) {
      return made;
    }
    if (waiting_.woken() != woken) {
      break;
    }
  }
  return std::nullopt;
}

// Takes pools out of `open` where nothing of the priority, nor of a lower one, can be had.
std::optional<pool_queue::choice> pool_queue::look_at_level(std::vector<std::string>& open,
                                                            std::uint32_t priority,
                                                            runtime::wall_time now) {
  const auto woken = waiting_.woken();
  for (const auto& project : in_order(open, priority, now)) {
    auto pools = open;
    std::uint64_t after = 0;
    while (const auto line = next_line(pools, priority, project, after)) {
      const auto where = search_in(line->pool, priority);
      if (!where) {
        std::erase(open, line->pool);
      }
      if (!where || (*where == search::made && !may_preempt(priority, project))) {
        std::erase(pools, line->pool);
        continue;
      }
      after = line->first;
      if (!look_at_quota(line->shape, now)) {
        continue;
      }
      choice made{line->shape};
      const auto found = look_at(made, now, *where);
      if (found == verdict::goes) {
        return made;
      }
      if (waiting_.woken() != woken) {
        return std::nullopt;
      }
      if (found == verdict::full) {
        close(line->pool);
      }
    }
  }
  return std::nullopt;
}

// The first that can go. Nothing where none can, or when what waited for a lock has been brought
// back and may come before. Where one waits for any slot of its pool, those behind it have only
// what is made for them there: it may not be had without that.
std::optional<pool_queue::choice> pool_queue::look(runtime::wall_time now) {
  for (auto& [name, one] : executors_) {
    one.closed = !one.promised.empty();
    one.full = false;
    forget_kept(one);
  }
  keep_for_gangs_.clear();
  quota_kept_for_.clear();
  const auto kept = kept_gangs();
  const auto woken = waiting_.woken();
  auto open = open_pools();
  for (auto priority = next_priority(open, {}); priority;
       priority = next_priority(open, priority)) {
    close_pools(open, *priority);
    auto found = look_at_gangs(kept, *priority, now);
    if (!found && waiting_.woken() == woken) {
      found = look_at_level(open, *priority, now);
    }
    if (found || waiting_.woken() != woken) {
      return found;
    }
  }
  return std::nullopt;
}

std::optional<pool_queue::choice> pool_queue::next(runtime::wall_time now) {
  std::optional<choice> found;
  std::uint64_t woken = 0;
  do {
    woken = waiting_.woken();
    found = look(now);
  } while (!found && waiting_.woken() != woken);
  return found;
}

std::vector<pool_grant> pool_queue::grant(runtime::wall_time now) {
  std::vector<pool_grant> grants;
  forget_vain_locks();
  keep_promises(now, grants);
  while (const auto found = next(now)) {
    if (!found->spread.empty()) {
      grant_gang(*found, now, grants);
      continue;
    }
    const auto& [at, to, ends, spread] = *found;
    auto& ticket = tickets_.at(first_of(at).number);
    const auto pins = ticket.shared && at->first.executor.empty();
    take_out(ticket);
    ticket.executor = to->first;
    ticket.granted_at = now;
    ticket.promised = ends.has_value();
    take(to->second, ticket);
    if (pins) {
      move_run(run_of(ticket.task), to->first, false);
      if (ends) {
        promised_runs_.insert(run_of(ticket.task));
      }
    }
    if (!ends) {
      grants.push_back({ticket, to->second.incarnation, pins});
      continue;
    }
    changed_.insert(ticket.number);
    for (const auto number : *ends) {
      preempt(number, ticket);
    }
    keep_promises(now, grants);
  }
  return grants;
}

}  // namespace millrace::actors
