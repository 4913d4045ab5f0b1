// SPDX-License-Identifier: MIT
// What attempts ask of the pools, and executors offer, as it stands in messages and rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "millrace/actors/resources.h"
#include "pipeline/names.h"
#include "pool/pool_queue.h"

namespace millrace::actors {

/// A priority where only older versions look for it.
[[nodiscard]] inline std::uint8_t old_priority(std::uint32_t priority) {
  constexpr std::uint32_t most = std::numeric_limits<std::uint8_t>::max();
  return static_cast<std::uint8_t>(std::min(priority, most));
}

[[nodiscard]] inline resource_amounts amounts_of(capnp::List<schemas::Amount>::Reader list) {
  resource_amounts made;
  for (const auto each : list) {
    made[text_of(each.getName())] = each.getAmount();
  }
  return made;
}

/// `init`: makes the list of so many.
template <class Init>
void put_amounts(const resource_amounts& amounts, const Init& init) {
  auto list = init(static_cast<unsigned>(amounts.size()));
  unsigned at = 0;
  for (const auto& [name, amount] : amounts) {
    list[at].setName(name.c_str());
    list[at++].setAmount(amount);
  }
}

[[nodiscard]] inline pool_names names_of(capnp::List<capnp::Text>::Reader list) {
  pool_names made;
  for (const auto each : list) {
    made.insert(text_of(each));
  }
  return made;
}

/// Of an executor; one of an older version names none.
[[nodiscard]] inline pool_names pools_of(capnp::List<capnp::Text>::Reader list) {
  auto made = names_of(list);
  return made.empty() ? pool_names{std::string{default_pool}} : made;
}

/// `init`: makes the list of so many.
template <class Init>
void put_names(const pool_names& names, const Init& init) {
  auto list = init(static_cast<unsigned>(names.size()));
  unsigned at = 0;
  for (const auto& each : names) {
    list.set(at++, each.c_str());
  }
}

[[nodiscard]] inline bool makes_way(schemas::Preemptible rule) {
  return rule == schemas::Preemptible::REQUEUE || rule == schemas::Preemptible::CANCEL;
}

[[nodiscard]] inline pool_wish wish_of(schemas::Wish::Reader from) {
  pool_wish made{text_of(from.getProject()),
                 amounts_of(from.getResources()),
                 amounts_of(from.getAtMost()),
                 {},
                 makes_way(from.getPreemptible()),
                 {},
                 from.getMostRanks()};
  if (from.hasGang()) {
    const auto gang = from.getGang();
    made.gang = {text_of(gang.getName()), gang.getRound(), gang.getRanks(), gang.getRank()};
  }
  if (from.getPool().size() > 0) {
    made.pool = text_of(from.getPool());
  }
  made.run_pools = names_of(from.getRunPools());
  for (const auto each : from.getLocks()) {
    made.locks.push_back({text_of(each.getName()), each.getLimit()});
  }
  return made;
}

}  // namespace millrace::actors
