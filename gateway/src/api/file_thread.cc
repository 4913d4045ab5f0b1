// SPDX-License-Identifier: MIT
#include "api/file_thread.h"

#include <utility>

namespace millrace::gateway {

file_thread::file_thread() : thread_([this] { work(); }) {}

file_thread::~file_thread() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

void file_thread::post(std::function<void()> job) {
  const std::lock_guard lock{mutex_};
  jobs_.push_back(std::move(job));
  changed_.notify_one();
}

bool file_thread::try_post(std::function<void()> job, std::size_t waiting_max) {
  const std::lock_guard lock{mutex_};
  if (jobs_.size() >= waiting_max) {
    return false;
  }
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return true;
}

void file_thread::work() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) {
      return;
    }
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

}  // namespace millrace::gateway
