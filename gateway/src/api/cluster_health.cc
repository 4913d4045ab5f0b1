// SPDX-License-Identifier: MIT
#include "api/cluster_health.h"

#include <algorithm>
#include <set>

namespace millrace::gateway {

using runtime::cluster_partition;
using runtime::cluster_view;
using runtime::silo_state;

namespace {

// How many copies a partition should have now. One that has had all that the options want takes no
// write with less than all but one of them, for good; so that says what it has had.
std::size_t wanted_copies(const cluster_partition& one, const cluster_view& view,
                          std::size_t silos) {
  const auto had = one.in_sync_min > 1 ? one.in_sync_min + 1 : 1;
  return std::min(view.copies, std::max(silos, had));
}

}  // namespace

std::string_view to_string(health_state state) noexcept {
  switch (state) {
    case health_state::down:
      return "down";
    case health_state::data_lost:
      return "data_lost";
    case health_state::unknown:
      return "unknown";
    case health_state::degraded:
      return "degraded";
    case health_state::under_replicated:
      return "under_replicated";
    case health_state::ok:
      break;
  }
  return "ok";
}

bool is_loss_open(const cluster_partition& one) noexcept {
  return one.loss.number > 0 && !one.loss.acknowledged;
}

cluster_health health_of(const cluster_view& view) {
  cluster_health seen{.is_outdated = view.is_outdated, .is_single_wanted = view.copies <= 1};
  std::set<std::string_view> in;
  for (const auto& each : view.silos) {
    seen.silos_for_copies += each.roles.state ? 1 : 0;
    if (each.state != silo_state::joining) {
      in.insert(each.name);
    }
  }
  for (const auto& each : view.partitions) {
    const auto copies = static_cast<std::size_t>(
        std::count_if(each.in_sync.begin(), each.in_sync.end(),
                      [&](const std::string& silo) { return in.contains(silo); }));
    seen.down += each.is_active && !each.primary.empty() ? 0 : 1;
    seen.data_lost += is_loss_open(each) ? 1 : 0;
    seen.refusing_writes += each.in_sync.size() < each.in_sync_min ? 1 : 0;
    seen.single_copy += copies < 2 ? 1 : 0;
    seen.below_copies += copies < view.copies ? 1 : 0;
    seen.under_replicated += copies < wanted_copies(each, view, seen.silos_for_copies) ? 1 : 0;
  }
  return seen;
}

health_state state_of(const cluster_health& seen) noexcept {
  if (seen.down > 0) {
    return health_state::down;
  }
  if (seen.data_lost > 0) {
    return health_state::data_lost;
  }
  if (seen.is_outdated) {
    return health_state::unknown;
  }
  if (seen.refusing_writes > 0 || (seen.single_copy > 0 && !seen.is_single_wanted)) {
    return health_state::degraded;
  }
  return seen.under_replicated > 0 ? health_state::under_replicated : health_state::ok;
}

}  // namespace millrace::gateway
