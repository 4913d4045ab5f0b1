// SPDX-License-Identifier: MIT
#include "silo/thread_watch.h"

#include "silo/silo_core.h"

namespace millrace::runtime::detail {

void thread_watch::start() {
  home_.timers().arm(*this, time_after(home_.time().steady(), home_.options().stuck_after));
}

namespace {
// CAF's threads belong to one actor system, and so to one silo, for good; spare ones too.
thread_local watched_thread* of_scheduler = nullptr;
}  // namespace

void thread_watch::begin_spare() {
  {
    const std::lock_guard lock{mutex_};
    for (const auto& each : threads_) {
      if (each->gone) {
        each->gone = false;
        of_scheduler = each.get();
        break;
      }
    }
  }
  own().spare = true;
}

void thread_watch::end_spare() {
  of_scheduler->gone = true;
}

thread_look thread_watch::look() {
  thread_look seen;
  std::vector<activation*> kept_back;
  {
    const std::lock_guard lock{mutex_};
    for (const auto& each : threads_) {
      const auto turns = each->turns.load(std::memory_order_acquire);
      const auto busy = each->runs.load(std::memory_order_relaxed) != nullptr;
      const auto moved = turns != std::exchange(each->turns_looked_at, turns);
      seen.turns += turns;
      if (each->gone) {
        continue;
      }
      if (each->spare) {
        ++seen.spares;
        seen.spares_busy += busy ? 1 : 0;
      } else {
        seen.busy += busy ? 1 : 0;
        seen.free += busy && moved ? 1 : 0;
      }
      if (busy && !moved) {
        if (auto* next = each->next.exchange(nullptr, std::memory_order_acq_rel)) {
          kept_back.push_back(next);
        }
      }
    }
  }
  if (!kept_back.empty()) {
    home_.hand_over(kept_back);
  }
  return seen;
}

std::vector<held_thread> thread_watch::held() {
  std::vector<std::pair<const activation*, const char*>> found;
  {
    const std::lock_guard lock{mutex_};
    for (const auto& each : threads_) {
      const auto* runs = each->runs.load(std::memory_order_relaxed);
      const auto* method = each->method.load(std::memory_order_relaxed);
      if (runs != nullptr && method != nullptr &&
          each->turns.load(std::memory_order_acquire) == each->turns_looked_at) {
        found.emplace_back(runs, method);
      }
    }
  }
  std::vector<held_thread> all;
  all.reserve(found.size());
  for (const auto& [where, method] : found) {
    all.push_back({home_.name_at(where), method});
  }
  return all;
}

watched_thread& thread_watch::own() {
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
