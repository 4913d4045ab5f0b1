// SPDX-License-Identifier: MIT
// Gangs: tickets of a pool that are granted together or not at all.
#include <algorithm>
#include <limits>

#include "pipeline/names.h"
#include "pool/pool_queue.h"

namespace millrace::actors {

namespace {

std::string counted(std::size_t number, std::string_view one, std::string_view many) {
  return std::to_string(number) + " " + std::string{number == 1 ? one : many};
}

std::string gang_text(std::uint32_t ranks) {
  return "a gang of " + std::to_string(ranks) + " ranks";
}

}  // namespace

std::vector<pool_ticket> pool_queue::take_stranded(std::vector<pool_ticket>& stored) {
  std::set<gang_key> granted;
  for (const auto& each : stored) {
    if (each.wish.gang && !each.executor.empty()) {
      granted.insert(key_of(*each.wish.gang));
    }
  }
  const auto at = std::stable_partition(stored.begin(), stored.end(), [&](const auto& each) {
    return !each.wish.gang || !each.executor.empty() || !granted.contains(key_of(*each.wish.gang));
  });
  std::vector<pool_ticket> stranded{std::make_move_iterator(at),
                                    std::make_move_iterator(stored.end())};
  stored.erase(at, stored.end());
  return stranded;
}

// How many ranks of the shape have a place there with a free slot, beside what is kept.
std::uint32_t pool_queue::places_now(const ticket_shape& of, const offer& at) {
  std::uint64_t places = at.free_slots();
  for (const auto& [name, amount] : of.resources) {
    const auto left = left_of(at.offered, at.taken, name);
    const auto kept = amount_of(at.kept_resources, name);
    places = std::min(places, left > kept ? (left - kept) / amount : 0);
  }
  return static_cast<std::uint32_t>(places);
}

// How many could have one there if nothing else was.
std::uint32_t pool_queue::places_ever(const ticket_shape& of, std::string_view executor,
                                      const offer& at) const {
  if (!could_go(of, executor, at) || !takes_ranks(at)) {
    return 0;
  }
  std::uint64_t places = at.slots;
  for (const auto& [name, amount] : of.resources) {
    places = std::min(places, amount_of(at.offered, name) / amount);
  }
  return static_cast<std::uint32_t>(places);
}

bool pool_queue::gang_could_go(const ticket_shape& of) const {
  const auto& share = *shares_.find(of.project);
  const auto most = share.limits.max_running;
  if ((most != 0 && of.ranks > most) || share.is_full() ||
      project_share::never_has(share.limits, of.resources, of.ranks) != nullptr) {
    return false;
  }
  std::uint64_t places = 0;
  for (const auto& [name, one] : executors_) {
    const auto there = places_ever(of, name, one);
    places = of.is_one_place ? std::max<std::uint64_t>(places, there) : places + there;
  }
  return places >= of.ranks;
}

// Those where ranks could go, the one with the most places first: so they go to the fewest.
std::vector<pool_queue::room> pool_queue::rooms_for(const ticket_shape& of) {
  std::vector<room> rooms;
  for (auto& each : executors_) {
    const auto& one = each.second;
    room made{&each, 0, places_ever(of, each.first, one), one.free_slots() > 0 ? 1.0 : 0.0};
    if (made.most == 0 || (of.is_one_place && made.most < of.ranks)) {
      continue;
    }
    made.now = places_now(of, one);
    for (const auto& [name, amount] : of.resources) {
      made.part = std::min(made.part, static_cast<double>(left_of(one.offered, one.taken, name)) /
                                          static_cast<double>(amount));
    }
    rooms.push_back(made);
  }
  std::stable_sort(rooms.begin(), rooms.end(), [](const room& a, const room& b) {
    return a.now != b.now ? a.now > b.now : a.part > b.part;
  });
  if (of.is_one_place && rooms.size() > 1) {
    rooms.resize(1);
  }
  return rooms;
}

pool_queue::verdict pool_queue::look_gang(choice& made, runtime::wall_time now, search where) {
  const auto& shape = made.at->first;
  const auto& first = first_of(made.at);
  auto rooms = where == search::all ? rooms_for(shape) : std::vector<room>{};
  auto left = shape.ranks;
  for (const auto& each : rooms) {
    const auto here = std::min(left, each.now);
    if (here > 0) {
      made.spread.emplace_back(each.at, here);
    }
    left -= here;
  }
  if (left == 0) {
    made.to = made.spread.front().first;
    return verdict::goes;
  }
  made.spread.clear();
  if (now - first.queued_at >= patience && gang_could_go(shape)) {
    quota_kept_for_.try_emplace(shape.project, first.number);
    if (where == search::all && keep_for_gangs_.insert(shape.pool).second) {
      gangs_kept_for_.insert_or_assign(shape.pool, first.number);
      keep_for_gang(shape, std::move(rooms));
    }
  }
  return verdict::passed;
}

// Those that places are kept for, while they wait and could go, the oldest first. They come before
// all of their priority: by shares alone, what their own projects are granted elsewhere would put
// them behind others for ever.
std::vector<pool_queue::shape_at> pool_queue::kept_gangs() {
  std::map<std::uint64_t, shape_at> kept;
  std::erase_if(gangs_kept_for_, [&](const auto& each) {
    const auto ticket = tickets_.find(each.second);
    if (ticket == tickets_.end() || !ticket->second.executor.empty() ||
        gangs_.at(key_of(*ticket->second.wish.gang)).size() != ticket->second.wish.gang->ranks) {
      return true;
    }
    const auto shape = shape_of(ticket->second);
    const auto at = waiting_.find(shape);
    if (!at || !gang_could_go(shape)) {
      return true;
    }
    kept.emplace(each.second, *at);
    return false;
  });
  std::vector<shape_at> in_order;
  in_order.reserve(kept.size());
  for (const auto& [number, at] : kept) {
    in_order.push_back(at);
  }
  return in_order;
}

bool pool_queue::has_places_kept(const pool_ticket& first) const {
  const auto kept = gangs_kept_for_.find(first.wish.pool);
  return kept != gangs_kept_for_.end() && kept->second == first.number;
}

// The places that are free, and then, where the most is free, those that are still missing.
void pool_queue::keep_for_gang(const ticket_shape& of, std::vector<room> rooms) {
  auto left = of.ranks;
  std::vector<std::uint32_t> counts(rooms.size());
  for (const auto pass : {&room::now, &room::most}) {
    for (std::size_t at = 0; at < rooms.size(); ++at) {
      const auto more = std::min(left, rooms[at].*pass - std::min(rooms[at].*pass, counts[at]));
      counts[at] += more;
      left -= more;
    }
  }
  for (std::size_t at = 0; at < rooms.size(); ++at) {
    if (counts[at] > 0) {
      auto& [name, one] = *rooms[at].at;
      keep(one, of, counts[at]);
      one.kept_slots += counts[at];
    }
  }
}

// In the order of their ranks, so that neighbours are together.
void pool_queue::grant_gang(const choice& found, runtime::wall_time now,
                            std::vector<pool_grant>& grants) {
  const auto first = first_of(found.at);
  const auto pins = first.shared && found.at->first.executor.empty();
  const auto numbers = gangs_.at(key_of(*first.wish.gang));
  std::vector<pool_ticket*> ranks;
  ranks.reserve(numbers.size());
  for (const auto number : numbers) {
    ranks.push_back(&tickets_.at(number));
    take_out(*ranks.back());
  }
  std::sort(ranks.begin(), ranks.end(),
            [](const auto* a, const auto* b) { return a->wish.gang->rank < b->wish.gang->rank; });
  const auto hosts = std::make_shared<std::vector<std::string>>();
  auto next = ranks.begin();
  for (const auto& [to, count] : found.spread) {
    for (const auto end = next + count; next != end; ++next) {
      (*next)->executor = to->first;
      (*next)->granted_at = now;
      take(to->second, **next);
      hosts->push_back(to->second.host);
    }
  }
  if (pins) {
    move_run(run_of(first.task), found.to->first, false);
  }
  for (const auto* each : ranks) {
    grants.push_back({*each, executors_.at(each->executor).incarnation, pins, hosts});
  }
}

// --- reasons -------------------------------------------------------------------------------------

// Empty: it has room, or is not its turn.
std::string pool_queue::reason_of_gang(const pool_ticket& ticket) const {
  const auto& gang = *ticket.wish.gang;
  const auto& numbers = gangs_.at(key_of(gang));
  const auto text = gang_text(gang.ranks);
  if (numbers.size() < gang.ranks) {
    return text + ": " + std::to_string(numbers.size()) + " of them have come to wait";
  }
  const auto& first = tickets_.at(*numbers.begin());
  const auto shape = shape_of(first);
  if (auto nowhere = reason_of_places(shape); !nowhere.empty()) {
    return nowhere;
  }
  if (auto quota = reason_of_quota(first, shape); !quota.empty()) {
    return quota;
  }
  const auto& share = *shares_.find(shape.project);
  const auto is_within = share.limits.max_running == 0 || gang.ranks <= share.limits.max_running;
  if (!gang_could_go(shape) && is_within) {
    auto own = shape;  // without what others of its run want
    own.at_most.clear();
    own.most_ranks = 0;
    return gang_could_go(own) ? reason_of_resources(first, shape)
                              : text + reason_of_gang_places(own, false);
  }
  if (!share.may_run(gang.ranks)) {
    return text + "; the project '" + shape.project + "' has " +
           counted(share.running, "task that runs", "tasks that run") + ", and may have " +
           std::to_string(share.limits.max_running) + " at a time";
  }
  if (const auto* lock = locks_.missing(first)) {
    return reason_of_lock(first, *lock);
  }
  return text + reason_of_gang_places(shape, has_places_kept(first));
}

// What there is for it, or ever will be. `is_kept`: that is kept for it.
std::string pool_queue::reason_of_gang_places(const ticket_shape& of, bool is_kept) const {
  const auto could = gang_could_go(of);
  std::uint64_t places = 0;
  std::size_t away = 0;
  std::size_t unknown = 0;
  std::string_view largest;
  for (const auto& [name, one] : executors_) {
    if ((!of.executor.empty() && of.executor != name) || !belongs(one.pools, of.pool)) {
      continue;
    }
    away += one.slots == 0 ? 1 : 0;
    unknown += one.slots > 0 && !takes_ranks(one) ? 1 : 0;
    auto bare = one;
    if (is_kept || !could) {
      forget_kept(bare);
    }
    const auto ever = places_ever(of, name, one);
    const std::uint64_t here = could ? std::min(ever, places_now(of, bare)) : ever;
    if (of.is_one_place && (here > places || largest.empty())) {
      largest = name;
    }
    places = of.is_one_place ? std::max(places, here) : places + here;
  }
  const auto where = largest.empty() ? std::string{} : " at " + std::string{largest};
  const auto are = counted(places, "place", "places");
  if (!could) {
    return (of.is_one_place ? ", which share a workspace; there" : std::string{"; there"}) +
           (places == 1 ? " is " : " are ") + are + " for them" +
           (of.is_one_place ? where : " in its pool") + (of.executor.empty() ? " at most" : "") +
           (away > 0 ? "; " + counted(away, "executor is away", "executors are away") : "") +
           (unknown > 0 ? "; " + counted(unknown, "executor", "executors") +
                              " of an older version, or with a host of more than " +
                              std::to_string(rank_host_bytes_max) + " bytes, can have none"
                        : "");
  }
  return ": " + are + (places == 1 ? " is" : " are") + " free" + where +
         (is_kept ? ", and kept for it" : "");
}

// Of one that lacks a slot though there is one: empty if that is not so.
std::string pool_queue::reason_of_kept_slots(const pool_ticket& ticket,
                                             const ticket_shape& of) const {
  auto keeper = tickets_.end();
  for (const auto& [name, one] : executors_) {
    if (!could_go(of, name, one) || one.granted.size() >= one.slots) {
      continue;
    }
    for (const auto& [pool, number] : gangs_kept_for_) {
      if (const auto at = tickets_.find(number); at != tickets_.end() && belongs(one.pools, pool)) {
        keeper = at;
      }
    }
  }
  if (keeper == tickets_.end()) {
    return {};
  }
  const auto& wish = keeper->second.wish;
  return "the free slots are kept for " +
         (wish.project == ticket.wish.project
              ? "'" + keeper->second.task.substr(keeper->second.task.find('/') + 1) + "' of run " +
                    run_of(keeper->second.task) + ", one of "
              : std::string{}) +
         gang_text(wish.gang->ranks) + ", which has waited longer";
}

}  // namespace millrace::actors
