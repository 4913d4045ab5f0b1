// SPDX-License-Identifier: MIT
#include "silo/thread_watch.h"

#include "silo/silo_core.h"

namespace millrace::runtime::detail {

void thread_watch::start() {
  home_.timers().arm(*this, time_after(home_.time().steady(), home_.options().stuck_after));
}

watched_thread& thread_watch::own() {
  // CAF's threads belong to one actor system, and so to one silo, for good.
  thread_local watched_thread* of_scheduler = nullptr;
  auto*& mine = home_.options().by_hand ? by_hand_ : of_scheduler;
  if (mine == nullptr) {
    const std::lock_guard lock{mutex_};
    mine = threads_.emplace_back(std::make_unique<watched_thread>()).get();
    mine->meters.resize(home_.types().size());
    for (const auto& [name, type] : home_.types()) {
      mine->meters[type.index] = std::make_unique<type_meter>(*type.interface);
    }
  }
  return *mine;
}

std::optional<std::uint64_t> thread_watch::turns_if_idle() {
  std::uint64_t all = 0;
  const std::lock_guard lock{mutex_};
  for (const auto& each : threads_) {
    if (each->runs.load(std::memory_order_acquire) != nullptr) {
      return std::nullopt;
    }
    all += each->turns.load(std::memory_order_acquire);
  }
  return all;
}

void thread_watch::add_to(silo_metrics& all, const std::vector<type_metrics*>& types) const {
  const std::lock_guard lock{mutex_};
  for (const auto& each : threads_) {
    all.threads_busy += each->runs.load(std::memory_order_relaxed) != nullptr ? 1 : 0;
    for (std::size_t index = 0; index < types.size(); ++index) {
      each->meters[index]->add_to(*types[index]);
    }
  }
}

void thread_watch::on_alarm() noexcept {
  struct stuck {
    const activation* where;
    const char* method;
  };
  std::vector<stuck> found;
  {
    const std::lock_guard lock{mutex_};
    for (const auto& each : threads_) {
      const auto turns = each->turns.load(std::memory_order_acquire);
      const auto* runs = each->runs.load(std::memory_order_relaxed);
      const auto* method = each->method.load(std::memory_order_relaxed);
      const auto moved =
          runs == nullptr || method == nullptr || turns != each->turns_seen || runs != each->seen;
      if (!moved && !each->warned) {
        found.push_back({runs, method});
      }
      each->warned = !moved;
      each->turns_seen = turns;
      each->seen = runs;
    }
  }
  for (const auto& each : found) {
    home_.counters().stuck_threads_total.fetch_add(1, std::memory_order_relaxed);
    home_.warn(
        "a turn does not give its thread back: offload what blocks or computes for long "
        "actor=" +
        home_.name_at(each.where) + " method=" + each.method);
  }
  start();
}

}  // namespace millrace::runtime::detail
