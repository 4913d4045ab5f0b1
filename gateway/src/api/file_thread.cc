// SPDX-License-Identifier: MIT
#include "api/file_thread.h"

#include <utility>

namespace millrace::gateway {

file_thread::file_thread(std::string name, const runtime::clock& clock, std::size_t waiting_max)
    : name_(std::move(name)),
      clock_(clock),
      waiting_max_(waiting_max),
      thread_([this] { work(); }) {}

file_thread::~file_thread() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

runtime::result<void> file_thread::post(std::function<void()> job) {
  constexpr std::chrono::seconds retry_after{1};
  const std::lock_guard lock{mutex_};
  if (jobs_.size() >= waiting_max_) {
    return runtime::error{runtime::errc::overloaded, "too many requests for " + name_ + " wait",
                          retry_after};
  }
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return {};
}

void file_thread::go_on(std::function<void()> job) {
  const std::lock_guard lock{mutex_};
  jobs_.push_back(std::move(job));
  changed_.notify_one();
}

runtime::duration file_thread::busy() const {
  const std::lock_guard lock{mutex_};
  return busy_since_ ? clock_.steady() - *busy_since_ : runtime::duration{};
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
    busy_since_ = clock_.steady();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
    busy_since_.reset();
  }
}

}  // namespace millrace::gateway
