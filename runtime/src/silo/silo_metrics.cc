// SPDX-License-Identifier: MIT
// The figures of a silo, gathered from where they are counted.
#include <algorithm>
#include <caf/scheduler/abstract_coordinator.hpp>

#include "cluster/cluster_node.h"
#include "silo/silo_core.h"

namespace millrace::runtime::detail {

// What threads and types have counted; nothing that needs the directory.
std::vector<type_metrics> silo_core::counted(silo_metrics& into) const {
  std::vector<type_metrics> types(types_.size());
  std::vector<type_metrics*> by_index(types_.size());
  std::size_t at = 0;
  for (const auto& [name, type] : types_) {
    auto& own = types[at++];
    by_index[type.index] = &own;
    own.type = type.interface->type;
    for (const auto& method : type.interface->methods) {
      own.methods.push_back({method.name, {}});
    }
    type.shared_meter->add_to(own);
  }
  watch_.add_to(into, by_index);
  return types;
}

silo_stats silo_core::stats() const {
  silo_metrics threads;
  const auto types = counted(threads);
  return totals_of(types);
}

silo_stats silo_core::totals_of(const std::vector<type_metrics>& types) const {
  silo_stats all;
  for (const auto& each : types) {
    all.activations_total += each.activations_total;
    const auto& ended = each.deactivations;
    all.deactivations_total +=
        ended.idle + ended.memory + ended.requested + ended.stopping + ended.failed;
    all.calls_total += each.begun_total;
    all.reminders_fired_total += each.reminders_fired_total;
    all.dead_letters_total += each.dead_letters_total;
    all.stuck_total += each.stuck_total;
  }
  all.stuck_total += counters_.stuck_threads_total.load(std::memory_order_relaxed);
  all.activations = directory_.size();
  all.overloaded_total = counters_.overloaded_total.load(std::memory_order_relaxed);
  all.reminders = reminders_.size();
  all.memory_bytes = memory_.bytes();
  all.memory_evictions_total = memory_.evictions();
  all.memory_exhausted_total = memory_.exhausted();
  all.sends_pending =
      static_cast<std::uint64_t>(counters_.sends_pending.load(std::memory_order_relaxed));
  return all;
}

silo_metrics silo_core::metrics() {
  silo_metrics all;
  all.types = counted(all);
  all.totals = totals_of(all.types);
  all.uptime = time_.steady() - made_at_;
  all.storage = rows_->stats();
  if (cluster_) {
    all.cluster = cluster_->metrics();
  }
  all.offload = offload_threads_.metrics();
  spares_.add_to(all);
  all.timers_armed = timers_.armed();
  all.threads = system_->scheduler().num_workers();
  all.stuck_threads_total = counters_.stuck_threads_total.load(std::memory_order_relaxed);
  std::vector<type_metrics*> by_index(types_.size());
  std::size_t at = 0;
  for (const auto& [name, type] : types_) {
    by_index[type.index] = &all.types[at++];
  }
  directory_.for_each([&](activation& one) {
    auto& own = *by_index[one.type().index];
    ++own.activations;
    own.queued += one.queued();
    own.queued_max = std::max<std::uint64_t>(own.queued_max, one.queued());
  });
  return all;
}

}  // namespace millrace::runtime::detail
