// SPDX-License-Identifier: MIT
#include "silo/run_queue.h"

#include <caf/actor_system.hpp>
#include <caf/policy/work_sharing.hpp>
#include <caf/scheduler/coordinator.hpp>

#include "activation/activation.h"

namespace millrace::runtime::detail {

using sharing = caf::scheduler::coordinator<caf::policy::work_sharing>;

run_queue::run_queue(caf::actor_system& system, bool by_hand) : system_(system) {
  if (!by_hand) {
    auto& data = static_cast<sharing&>(system.scheduler()).data();
    jobs_ = &data.queue;
    mutex_ = &data.lock;
    changed_ = &data.cv;
  }
}

void run_queue::push(std::span<activation* const> all) noexcept {
  if (jobs_ == nullptr) {
    for (auto* one : all) {
      system_.scheduler().enqueue(one);
    }
    return;
  }
  std::list<caf::resumable*> added{all.begin(), all.end()};
  const std::lock_guard lock{*mutex_};
  jobs_->splice(jobs_->end(), added);
  all.size() == 1 ? changed_->notify_one() : changed_->notify_all();
}

activation* run_queue::pop() noexcept {
  if (jobs_ == nullptr) {
    return nullptr;
  }
  const std::lock_guard lock{*mutex_};
  if (jobs_->empty() || jobs_->front()->subtype() != caf::resumable::function_object) {
    return nullptr;
  }
  auto* one = static_cast<activation*>(jobs_->front());
  jobs_->pop_front();
  return one;
}

bool run_queue::waits() const {
  const std::lock_guard lock{*mutex_};
  return !jobs_->empty();
}

}  // namespace millrace::runtime::detail
