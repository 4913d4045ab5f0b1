// SPDX-License-Identifier: MIT
#include "executor/worker.h"

#include <algorithm>
#include <utility>

namespace millrace::actors {

namespace {
// The longest sleep: bounds how late a jump of the boot clock (suspend) is noticed.
constexpr runtime::duration sleep_max = std::chrono::seconds{5};
}  // namespace

void worker::post(std::function<void()> job, runtime::duration after) {
  const std::lock_guard lock{mutex_};
  if (stopping_) {
    return;
  }
  if (after > runtime::duration{}) {
    later_.emplace(runtime::time_after(time_.steady(), after), std::move(job));
  } else {
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

// The next job that is due, nothing when there is none. Under the mutex.
std::function<void()> worker::take() {
  const auto now = time_.steady();
  while (!later_.empty() && later_.begin()->first <= now) {
    jobs_.push_back(std::move(later_.extract(later_.begin()).mapped()));
  }
  if (jobs_.empty()) {
    return {};
  }
  auto job = std::move(jobs_.front());
  jobs_.pop_front();
  busy_since_ = now;
  return job;
}

void worker::run() {
  thread_ = std::thread{[this] { work(); }};
}

void worker::work() {
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    if (const auto job = take()) {
      lock.unlock();
      job();
      lock.lock();
      busy_since_.reset();
    } else if (!later_.empty()) {
      changed_.wait_for(
          lock, std::min<runtime::duration>(later_.begin()->first - time_.steady(), sleep_max));
    } else {
      changed_.wait(lock);
    }
  }
}

void worker::run_due() {
  std::unique_lock lock{mutex_};
  while (const auto job = stopping_ ? std::function<void()>{} : take()) {
    lock.unlock();
    job();
    lock.lock();
    busy_since_.reset();
  }
}

runtime::duration worker::busy() const {
  const std::lock_guard lock{mutex_};
  return busy_since_ ? time_.steady() - *busy_since_ : runtime::duration{};
}

bool worker::stopping() const {
  const std::lock_guard lock{mutex_};
  return stopping_;
}

void worker::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

}  // namespace millrace::actors
