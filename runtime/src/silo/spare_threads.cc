// SPDX-License-Identifier: MIT
#include "silo/spare_threads.h"

#include <caf/actor_system.hpp>
#include <caf/execution_unit.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <algorithm>
#include <chrono>

#include "silo/silo_core.h"

namespace millrace::runtime::detail {

namespace {

// A turn that takes so long while others wait has kept them for long enough. By the machine's time
// and not the silo's clock: a thread blocks in real time, also where a test moves the clock.
constexpr std::chrono::milliseconds look_every{100};
constexpr std::chrono::seconds doze{1};

}  // namespace

// Takes from the scheduler's queue as its workers do.
class spare_threads::spare final : public caf::execution_unit {
public:
  explicit spare(silo_core& home)
      : caf::execution_unit(&home.scheduler().system()), home_(home), thread_([this] { run(); }) {}
  spare(const spare&) = delete;
  spare& operator=(const spare&) = delete;
  ~spare() override { thread_.join(); }

  void exec_later(caf::resumable* job) override { home_.scheduler().enqueue(job); }

  void dismiss() {
    home_.queue().stir([this] { over_ = true; });
  }
  [[nodiscard]] bool over() const noexcept { return over_.load(); }
  [[nodiscard]] bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }

private:
  void run() {
    home_.watch().begin_spare();
    while (auto* job = home_.queue().wait([this] { return over(); })) {
      if (job->resume(this, home_.scheduler().max_throughput()) == caf::resumable::resume_later) {
        exec_later(job);
      } else {
        caf::intrusive_ptr_release(job);
      }
    }
    home_.watch().end_spare();
    ended_.store(true, std::memory_order_release);
  }

  silo_core& home_;
  std::atomic<bool> over_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

spare_threads::spare_threads(silo_core& home, unsigned spares_max)
    : home_(home), spares_max_(spares_max) {}

spare_threads::~spare_threads() {
  stop();
}

void spare_threads::start() {
  if (spares_max_ > 0) {
    watcher_ = std::thread{[this] { watch(); }};
  }
}

void spare_threads::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) {
    watcher_.join();
  }
  dismiss();
  spares_.clear();
}

void spare_threads::wake() noexcept {
  {
    const std::lock_guard lock{mutex_};
    stirred_ = true;
  }
  changed_.notify_all();
}

void spare_threads::watch() {
  spare_plan plan{spares_max_};
  auto idle = false;
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    if (idle && spares_.empty()) {
      stirred_ = false;
      dozes_ = true;  // a thread that begins just now may miss it: so this is a doze, not a sleep
      changed_.wait_for(lock, doze, [this] { return stopping_ || stirred_; });
      dozes_ = false;
    }
    if (!stopping_) {
      changed_.wait_for(lock, look_every, [this] { return stopping_; });
    }
    lock.unlock();
    const auto seen = look();
    idle = seen.busy == 0;
    switch (plan.next(seen)) {
      case spare_step::add:
        add();
        break;
      case spare_step::dismiss:
        dismiss();
        break;
      case spare_step::none:
        break;
    }
    bury_ended();
    lock.lock();
  }
}

thread_look spare_threads::look() {
  auto seen = home_.watch().look();
  seen.threads = static_cast<unsigned>(home_.scheduler().num_workers());
  seen.free += seen.threads - std::min(seen.threads, seen.busy);
  seen.work_waits = home_.queue().waits();
  return seen;
}

void spare_threads::add() {
  std::string held;
  const auto all = home_.watch().held();
  {
    const std::lock_guard lock{mutex_};
    for (const auto& each : all) {
      held += " actor=" + each.actor + " method=" + each.method;
      ++blocked_[{each.actor.substr(0, each.actor.find('/')), each.method}];
    }
    spares_.push_back(std::make_unique<spare>(home_));
  }
  home_.warn("turns hold every thread, so a spare one runs: offload what blocks spares=" +
             std::to_string(spares_.size()) + " spares_max=" + std::to_string(spares_max_) + held);
}

void spare_threads::dismiss() {
  for (const auto& each : spares_) {
    if (!each->over()) {
      each->dismiss();
    }
  }
}

void spare_threads::bury_ended() {
  std::vector<std::unique_ptr<spare>> ended;
  {
    const std::lock_guard lock{mutex_};
    const auto first = std::partition(spares_.begin(), spares_.end(),
                                      [](const auto& each) { return !each->ended(); });
    ended.assign(std::make_move_iterator(first), std::make_move_iterator(spares_.end()));
    spares_.erase(first, spares_.end());
  }
  if (!ended.empty()) {
    home_.warn("threads are free again: a spare one has ended spares=" +
               std::to_string(spares_.size()));
  }
}

void spare_threads::add_to(silo_metrics& all) const {
  const std::lock_guard lock{mutex_};
  all.spare_threads = spares_.size();
  for (const auto& [name, times] : blocked_) {
    all.blocked.push_back({name.first, name.second, times});
  }
}

}  // namespace millrace::runtime::detail
