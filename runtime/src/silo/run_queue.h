// SPDX-License-Identifier: MIT
// Run queue: the activations of a silo that are to run, and the threads that wait for them.
//
// It is the queue of CAF's scheduler, used from below: whoever has run an activation takes the next
// one here and goes on, without a round through the scheduler's worker, which costs as much as a
// short turn; and many are put in at once. Only here is known what that queue looks like.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <span>

namespace caf {
class actor_system;
class resumable;
}  // namespace caf

namespace millrace::runtime::detail {

class activation;

/// Threading: any thread.
class run_queue {
public:
  /// `by_hand`: nothing runs by itself, see `test_silo`. Requires: the system's scheduler shares
  /// work, or is the one for tests.
  run_queue(caf::actor_system& system, bool by_hand);

  /// Takes over a reference of each.
  void push(std::span<activation* const> all) noexcept;

  /// The next, with its reference; null when nothing waits, or something of CAF's own is next.
  /// Cost: a lock.
  [[nodiscard]] activation* pop() noexcept;

  /// Whether anything waits. Requires: not by hand, as for all that follows.
  [[nodiscard]] bool waits() const;

  /// Waits for the next, of whatever kind; null when `over` is true. `over` is called with the
  /// lock held; who changes what it says calls `stir`.
  template <class Over>
  [[nodiscard]] caf::resumable* wait(Over&& over) {
    std::unique_lock lock{*mutex_};
    changed_->wait(lock, [&] { return over() || !jobs_->empty(); });
    if (over()) {
      if (!jobs_->empty()) {
        changed_->notify_one();  // it may have been for this one
      }
      return nullptr;
    }
    auto* job = jobs_->front();
    jobs_->pop_front();
    return job;
  }
  /// Calls `change` with the lock held and wakes every thread that waits.
  template <class Change>
  void stir(Change&& change) {
    {
      const std::lock_guard lock{*mutex_};
      change();
    }
    changed_->notify_all();
  }

private:
  caf::actor_system& system_;
  std::list<caf::resumable*>* jobs_ = nullptr;  // CAF's, as the following; null by hand
  std::mutex* mutex_ = nullptr;
  std::condition_variable* changed_ = nullptr;
};

}  // namespace millrace::runtime::detail
