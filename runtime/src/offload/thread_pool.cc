// SPDX-License-Identifier: MIT
#include "offload/thread_pool.h"

#include <pthread.h>

#include <utility>

namespace millrace::runtime::detail {

bool thread_pool::submit(std::function<void()> job) {
  const std::lock_guard lock{mutex_};
  if (stopping_ || jobs_.size() >= queue_max_) {
    return false;
  }
  jobs_.push_back(std::move(job));
  if (jobs_.size() > idle_ && threads_.size() < threads_max_) {
    threads_.emplace_back([this] { work(); });
  }
  changed_.notify_one();
  return true;
}

bool thread_pool::busy() {
  const std::lock_guard lock{mutex_};
  return !jobs_.empty() || idle_ < threads_.size();
}

void thread_pool::work() {
  ::pthread_setname_np(::pthread_self(), "offload");
  std::unique_lock lock{mutex_};
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    --idle_;
    if (stopping_) {
      return;
    }
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds may be an activation's last reference
    lock.lock();
  }
}

bool thread_pool::run_one() {
  std::unique_lock lock{mutex_};
  if (jobs_.empty()) {
    return false;
  }
  const auto job = std::move(jobs_.front());
  jobs_.pop_front();
  lock.unlock();
  job();
  return true;
}

offload_metrics thread_pool::metrics() const {
  const std::lock_guard lock{mutex_};
  return {threads_.size(), threads_.size() - idle_, jobs_.size()};
}

void thread_pool::stop() {
  std::deque<std::function<void()>> dropped;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    dropped.swap(jobs_);
    threads.swap(threads_);
    changed_.notify_all();
  }
  dropped.clear();
  for (auto& each : threads) {
    each.join();
  }
}

}  // namespace millrace::runtime::detail
