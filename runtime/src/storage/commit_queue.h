// SPDX-License-Identifier: MIT
// Commit queue: from the turns of all activations to the one journal thread.
//
// Pushing is one compare-and-swap on an intrusive list. A pusher wakes the journal thread only when
// that thread has said, in the same word, that it sleeps, so a busy thread costs no system calls.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <limits>
#include <mutex>

#include "millrace/runtime/clock.h"
#include "millrace/runtime/storage.h"

namespace millrace::runtime {

/// A list of requests in the order in which they were pushed.
///
/// Ownership: none; whoever holds the list owns the requests.
class commit_list {
public:
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] const commit_request& front() const noexcept { return *head_; }

  /// Requires: !empty().
  commit_request* pop() noexcept;

  void push(commit_request* request) noexcept;

  /// Moves all of `later` to the end.
  void append(commit_list later) noexcept;

private:
  friend class commit_queue;
  commit_request* head_ = nullptr;
  commit_request* last_ = nullptr;
};

/// The queue itself.
///
/// Threading: `push` and `wake` from any thread, the rest from one consumer.
class commit_queue {
public:
  commit_queue() = default;
  commit_queue(const commit_queue&) = delete;
  commit_queue& operator=(const commit_queue&) = delete;
  ~commit_queue() = default;

  /// False when the queue is closed; the request stays the caller's then. Cost: no lock, no system
  /// call unless the consumer sleeps.
  [[nodiscard]] bool push(commit_request* request) noexcept;

  /// All that was pushed since the last call, oldest first.
  [[nodiscard]] commit_list take() noexcept;

  /// Returns when something was pushed, `wake` was called since the last `wait`, or after
  /// `timeout`.
  void wait(duration timeout);

  /// About how many are queued.
  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(std::max(count_.load(std::memory_order_relaxed), 0));
  }

  /// Returns when that many are queued, `wake` was called since the last wait, or after `timeout`.
  /// Who pushes less than the last of them wakes nobody.
  void wait_for(std::size_t count, duration timeout);

  void wake() noexcept;

  /// Refuses all later pushes; returns what was queued.
  [[nodiscard]] commit_list close() noexcept;

private:
  // States of `head_` that are no requests; their addresses are compared and never read.
  [[nodiscard]] commit_request* asleep() noexcept {
    return reinterpret_cast<commit_request*>(&asleep_mark_);
  }
  [[nodiscard]] commit_request* closed() noexcept {
    return reinterpret_cast<commit_request*>(&closed_mark_);
  }
  commit_list in_order(commit_request* newest) noexcept;
  void sleep(duration timeout);
  static void set_next(commit_request* request, commit_request* next) noexcept;
  static commit_request* next_of(const commit_request* request) noexcept;
  friend class commit_list;

  static constexpr int nobody_waits = std::numeric_limits<int>::max();

  alignas(64) std::atomic<commit_request*> head_{nullptr};  // newest first
  // Counted after it is pushed, so for a moment it may be less than what was taken.
  std::atomic<int> count_{0};
  std::atomic<int> wanted_{nobody_waits};
  alignas(commit_request) char asleep_mark_ = 0;
  alignas(commit_request) char closed_mark_ = 0;
  std::mutex mutex_;
  std::condition_variable woken_signal_;
  bool woken_ = false;
};

}  // namespace millrace::runtime
