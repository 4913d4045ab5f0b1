// SPDX-License-Identifier: MIT
#include "timers/timer_service.h"

#include <pthread.h>

#include <algorithm>

namespace millrace::runtime::detail {

namespace {
// The longest sleep: bounds how late a jump of the boot clock (suspend) is noticed.
constexpr duration sleep_max = std::chrono::seconds{5};
}  // namespace

timer_service::timer_service(const clock& time, timers_run how)
    : time_(time), wheel_(time.steady()) {
  if (how == timers_run::on_a_thread) {
    thread_ = std::thread{[this] { work(); }};
  }
}

timer_service::~timer_service() {
  stop();
}

void timer_service::arm(alarm& one, steady_time due) {
  std::unique_lock lock{mutex_};
  if (stopping_) {
    lock.unlock();
    one.on_stop();
    return;
  }
  if (one.entry_.armed()) {
    if (one.entry_.due <= due) {
      return;
    }
    wheel_.erase(one.entry_);
  } else {
    one.entry_.owner = &one;
    one.keep();
  }
  wheel_.insert(one.entry_, due);
  if (due < sleeping_until_) {
    changed_.notify_one();
  }
}

std::size_t timer_service::armed() const {
  const std::lock_guard lock{mutex_};
  return wheel_.size();
}

void timer_service::disarm(alarm& one) {
  {
    const std::lock_guard lock{mutex_};
    if (!one.entry_.armed()) {
      return;
    }
    wheel_.erase(one.entry_);
  }
  one.release();
}

void timer_service::fire(std::unique_lock<std::mutex>& lock) {
  const auto now = time_.steady();
  ++firing_;
  while (auto* due = wheel_.pop(now)) {
    auto* owner = static_cast<alarm::entry*>(due)->owner;
    lock.unlock();
    owner->on_alarm();
    owner->release();
    lock.lock();
  }
  if (--firing_ == 0) {
    changed_.notify_all();
  }
}

void timer_service::time_changed() {
  std::unique_lock lock{mutex_};
  fire(lock);
  changed_.wait(lock, [this] { return firing_ == 0; });
}

std::optional<steady_time> timer_service::next_due() {
  const std::lock_guard lock{mutex_};
  return firing_ > 0 ? time_.steady() : wheel_.next_event();
}

void timer_service::work() {
  ::pthread_setname_np(::pthread_self(), "timers");
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    fire(lock);
    if (stopping_) {
      return;
    }
    const auto now = time_.steady();
    const auto next = wheel_.next_event();
    const auto sleep = std::clamp<duration>(next ? *next - now : sleep_max, duration{0}, sleep_max);
    sleeping_until_ = now + sleep;
    changed_.wait_for(lock, std::max<duration>(sleep, std::chrono::microseconds{50}));
    sleeping_until_ = steady_time::max();
  }
}

void timer_service::stop() {
  {
    std::unique_lock lock{mutex_};
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
  std::unique_lock lock{mutex_};
  while (auto* left = wheel_.pop(steady_time::max())) {
    auto* owner = static_cast<alarm::entry*>(left)->owner;
    lock.unlock();
    owner->on_stop();
    owner->release();
    lock.lock();
  }
}

}  // namespace millrace::runtime::detail
