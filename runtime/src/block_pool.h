// SPDX-License-Identifier: MIT
// Block pool: memory for objects that are made on one thread and die on another.
//
// A general allocator takes a lock for most blocks that are freed far from where they were made,
// which is what messages do. Here each thread keeps a few free blocks and threads hand each other
// whole batches of them. (The idea: Bonwick's magazines, USENIX 2001.)
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <vector>

namespace millrace::runtime::detail {

/// Blocks of `Size` bytes for objects of type Tag. Keeps at most `batches_max` batches and two
/// batches a thread; what is more goes back to the allocator.
///
/// Threading: any. Cost: a few instructions; a lock once a batch.
template <class Tag, std::size_t Size>
class block_pool {
public:
  static void* take() {
#ifdef __SANITIZE_ADDRESS__  // which sees only what goes through the allocator
    return ::operator new(Size);
#endif
    if (thread_ends) {
      return ::operator new(Size);
    }
    auto& own = local();
    if (own.count == 0 && !refill(own)) {
      return ::operator new(Size);
    }
    return own.blocks[--own.count];
  }

  static void give(void* block) noexcept {
#ifdef __SANITIZE_ADDRESS__
    ::operator delete(block);
    return;
#endif
    if (thread_ends) {
      ::operator delete(block);
      return;
    }
    auto& own = local();
    if (own.count == own.blocks.size()) {
      hand_over(own);
    }
    own.blocks[own.count++] = block;
  }

private:
  static constexpr std::size_t batch = 32;
  static constexpr std::size_t batches_max = 256;  // 8,192 blocks: a burst's messages

  // Objects may die after their thread's magazine: in static destructors, for one.
  static inline thread_local bool thread_ends = false;

  struct magazine {
    std::array<void*, 2 * batch> blocks;
    std::size_t count = 0;
    magazine() = default;
    magazine(const magazine&) = delete;
    magazine& operator=(const magazine&) = delete;
    ~magazine() {
      thread_ends = true;
      while (count > 0) {
        ::operator delete(blocks[--count]);
      }
    }
  };
  struct depot {
    std::mutex mutex;
    std::vector<std::array<void*, batch>> full;
  };

  static magazine& local() {
    thread_local magazine own;
    return own;
  }
  // Never destroyed: threads may outlive static destruction.
  static depot& shared() {
    static auto& one = *new depot;
    return one;
  }

  static bool refill(magazine& own) {
    auto& all = shared();
    const std::lock_guard lock{all.mutex};
    if (all.full.empty()) {
      return false;
    }
    for (auto* block : all.full.back()) {
      own.blocks[own.count++] = block;
    }
    all.full.pop_back();
    return true;
  }

  static void hand_over(magazine& own) noexcept {
    std::array<void*, batch> leaving;
    for (auto& block : leaving) {
      block = own.blocks[--own.count];
    }
    auto& all = shared();
    {
      const std::lock_guard lock{all.mutex};
      if (all.full.size() < batches_max) {
        all.full.push_back(leaving);
        return;
      }
    }
    for (auto* block : leaving) {
      ::operator delete(block);
    }
  }
};

/// For containers whose nodes are made on one thread and go on another; what is no node (a table's
/// buckets are pointers, or many) comes from the allocator.
template <class T>
struct block_allocator {
  using value_type = T;
  block_allocator() = default;
  template <class Other>
  block_allocator(const block_allocator<Other>& /*other*/) noexcept {}
  [[nodiscard]] T* allocate(std::size_t count) {
    if constexpr (!std::is_pointer_v<T>) {
      if (count == 1) {
        return static_cast<T*>(block_pool<T, sizeof(T)>::take());
      }
    }
    return std::allocator<T>{}.allocate(count);
  }
  void deallocate(T* from, std::size_t count) noexcept {
    if constexpr (!std::is_pointer_v<T>) {
      if (count == 1) {
        return block_pool<T, sizeof(T)>::give(from);
      }
    }
    std::allocator<T>{}.deallocate(from, count);
  }
  friend bool operator==(const block_allocator&, const block_allocator&) = default;
};

}  // namespace millrace::runtime::detail
