// SPDX-License-Identifier: MIT
#include "storage/commit_queue.h"

namespace millrace::runtime {

commit_request* commit_list::pop() noexcept {
  auto* request = head_;
  head_ = commit_queue::next_of(request);
  if (head_ == nullptr) {
    last_ = nullptr;
  }
  return request;
}

void commit_list::push(commit_request* request) noexcept {
  commit_queue::set_next(request, nullptr);
  if (empty()) {
    head_ = request;
  } else {
    commit_queue::set_next(last_, request);
  }
  last_ = request;
}

void commit_list::append(commit_list later) noexcept {
  if (later.empty()) {
    return;
  }
  if (empty()) {
    head_ = later.head_;
  } else {
    commit_queue::set_next(last_, later.head_);
  }
  last_ = later.last_;
}

void commit_queue::set_next(commit_request* request, commit_request* next) noexcept {
  request->next_ = next;
}

commit_request* commit_queue::next_of(const commit_request* request) noexcept {
  return request->next_;
}

bool commit_queue::push(commit_request* request) noexcept {
  auto* head = head_.load(std::memory_order_relaxed);
  do {
    if (head == closed()) {
      return false;
    }
    request->next_ = head == asleep() ? nullptr : head;
  } while (!head_.compare_exchange_weak(head, request, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  // In one order with what `wait_for` does: one of the two sees the other.
  const auto count = count_.fetch_add(1) + 1;
  if (head == asleep() ||
      (count >= wanted_.load() && wanted_.exchange(nobody_waits) != nobody_waits)) {
    wake();
  }
  return true;
}

commit_list commit_queue::in_order(commit_request* newest) noexcept {
  commit_list list;
  if (newest == asleep() || newest == closed()) {
    return list;
  }
  list.last_ = newest;
  int count = 0;
  for (auto* each = newest; each != nullptr;) {
    auto* older = each->next_;
    each->next_ = list.head_;
    list.head_ = each;
    each = older;
    ++count;
  }
  count_.fetch_sub(count, std::memory_order_relaxed);
  return list;
}

commit_list commit_queue::take() noexcept {
  if (head_.load(std::memory_order_relaxed) == nullptr) {
    return {};
  }
  return in_order(head_.exchange(nullptr, std::memory_order_acq_rel));
}

commit_list commit_queue::close() noexcept {
  return in_order(head_.exchange(closed(), std::memory_order_acq_rel));
}

void commit_queue::wait(duration timeout) {
  commit_request* expected = nullptr;
  if (!head_.compare_exchange_strong(expected, asleep(), std::memory_order_acq_rel)) {
    return;
  }
  sleep(timeout);
  expected = asleep();
  head_.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel);
}

void commit_queue::wait_for(std::size_t count, duration timeout) {
  wanted_.store(static_cast<int>(count));
  if (count_.load() < static_cast<int>(count)) {
    sleep(timeout);
  }
  wanted_.store(nobody_waits, std::memory_order_relaxed);
}

void commit_queue::sleep(duration timeout) {
  std::unique_lock lock{mutex_};
  woken_signal_.wait_for(lock, timeout, [this] { return woken_; });
  woken_ = false;
}

void commit_queue::wake() noexcept {
  {
    const std::lock_guard lock{mutex_};
    woken_ = true;
  }
  woken_signal_.notify_one();
}

}  // namespace millrace::runtime
