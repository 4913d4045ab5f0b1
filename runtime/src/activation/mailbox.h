// SPDX-License-Identifier: MIT
// Mailbox: a lock-free queue with many writers and one reader, which knows when its reader sleeps.
//
// Writers push onto a stack; the reader takes the whole stack and turns it round (Vyukov; CAF's
// LIFO inbox is the same idea). Two marks stand in for the empty stack: `asleep`, so that the
// writer who finds it schedules the reader, and `closed`, so that a writer looks for the next
// activation instead.
#pragma once

#include <atomic>

#include "activation/envelope.h"

namespace millrace::runtime::detail {

enum class push_outcome : std::uint8_t {
  queued,
  wake,    ///< Queued; the writer must schedule the reader.
  closed,  ///< Not queued.
};

/// Threading: `push` and `reader_sleeps` from any thread; the rest by the reader.
class mailbox {
public:
  /// Awake: the first writers do not schedule the reader.
  mailbox() noexcept = default;
  mailbox(const mailbox&) = delete;
  mailbox& operator=(const mailbox&) = delete;
  ~mailbox() {
    auto* head = head_.load(std::memory_order_acquire);
    while (head != nullptr && head != asleep() && head != closed()) {
      drop(std::exchange(head, head->next));
    }
  }

  /// Takes over one reference unless closed. Cost: one compare-and-swap without contention.
  [[nodiscard]] push_outcome push(envelope* one) noexcept {
    auto* head = head_.load(std::memory_order_relaxed);
    for (;;) {
      if (head == closed()) {
        return push_outcome::closed;
      }
      one->next = head == asleep() ? nullptr : head;
      if (head_.compare_exchange_weak(head, one, std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
        return head == asleep() ? push_outcome::wake : push_outcome::queued;
      }
    }
  }

  /// Appends everything that has arrived to `to`, oldest first; false when that is nothing.
  bool take(envelope_list& to) noexcept {
    if (head_.load(std::memory_order_relaxed) == nullptr) {
      return false;
    }
    turn_round(head_.exchange(nullptr, std::memory_order_acquire), to);
    return true;
  }

  /// Any thread.
  [[nodiscard]] bool reader_sleeps() const noexcept {
    return head_.load(std::memory_order_acquire) == asleep();
  }

  /// Marks the reader asleep; false when something has arrived.
  [[nodiscard]] bool sleep() noexcept {
    envelope* none = nullptr;
    return head_.compare_exchange_strong(none, asleep(), std::memory_order_acq_rel);
  }

  /// Closes it and appends what was left to `to`.
  void close(envelope_list& to) noexcept {
    turn_round(head_.exchange(closed(), std::memory_order_acq_rel), to);
  }

private:
  // Addresses that no envelope has.
  static envelope* asleep() noexcept { return reinterpret_cast<envelope*>(marks); }
  static envelope* closed() noexcept { return reinterpret_cast<envelope*>(marks + 8); }
  alignas(8) inline static char marks[16];

  static void turn_round(envelope* newest, envelope_list& to) noexcept {
    if (newest == asleep() || newest == closed()) {
      return;
    }
    envelope* oldest = nullptr;
    while (newest != nullptr) {
      auto* older = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = older;
    }
    while (oldest != nullptr) {
      auto* one = oldest;
      oldest = oldest->next;
      to.push(one);
    }
  }

  std::atomic<envelope*> head_{nullptr};
};

}  // namespace millrace::runtime::detail
