// SPDX-License-Identifier: MIT
// Directory: which activations live on this silo.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>

#include "activation/activation.h"
#include "silo/activation_table.h"

namespace millrace::runtime::detail {

/// Under which the activations of one stateless actor are found; the first under the actor's own.
[[nodiscard]] inline actor_hash hash_of_worker(actor_hash hash, std::uint16_t worker) noexcept {
  hash.low += worker;
  return hash;
}

/// Threading: any thread. Cost: one of 64 locks and a hash lookup.
class directory {
public:
  directory() = default;
  directory(const directory&) = delete;
  directory& operator=(const directory&) = delete;
  ~directory() = default;

  /// Calls `use(activation, fresh)` under the lock of its shard, after `make` if there is none.
  /// `make` gives a reference to the directory.
  template <class Make, class Use>
  auto with(const actor_hash& hash, Make&& make, Use&& use) {
    auto& own = shard_of(hash);
    const std::lock_guard lock{own.mutex};
    const auto [one, fresh] = own.activations.find_or_make(hash, make);
    if (fresh) {
      count_.fetch_add(1, std::memory_order_relaxed);
    }
    return use(*one, fresh);
  }

  /// The same for one of `count` activations of a stateless actor: an idle one, or a new one, or
  /// the one with the least load. Those that `avoid(activation)` names come last. `make` and `use`
  /// get its number.
  template <class Avoid, class Make, class Use>
  void with_worker(const actor_hash& hash, std::uint16_t count, Avoid&& avoid, Make&& make,
                   Use&& use) {
    auto& own = shard_of(hash);  // of all of them
    const std::lock_guard lock{own.mutex};
    constexpr auto avoided = std::uint64_t{1} << 32U;
    auto least = std::numeric_limits<std::uint64_t>::max();
    std::optional<std::uint16_t> vacant;
    std::uint16_t chosen = 0;
    for (std::uint16_t worker = 0; worker < count && least > 0; ++worker) {
      const auto* found = own.activations.find(hash_of_worker(hash, worker));
      if (found == nullptr) {
        vacant = vacant ? vacant : worker;
      } else if (const auto load = found->load() + (avoid(*found) ? avoided : 0); load < least) {
        least = load;
        chosen = worker;
      }
    }
    chosen = least > 0 && vacant ? *vacant : chosen;
    const auto [one, fresh] =
        own.activations.find_or_make(hash_of_worker(hash, chosen), [&] { return make(chosen); });
    if (fresh) {
      count_.fetch_add(1, std::memory_order_relaxed);
    }
    use(*one, fresh, chosen);
  }

  /// Null, or the activation with a reference for the caller.
  [[nodiscard]] activation* find(const actor_hash& hash);

  /// Takes the activation out if it is the one that is registered, and drops the reference.
  void erase(activation& one);

  /// Drops every reference, when nothing runs any more.
  void clear();

  /// Visits those that `wanted`, in the order of shards and hashes, at most `limit`, beginning
  /// after `after` (absent: with the first); each with a lock held, as in `for_each`. True when
  /// there are more. Cost: looks at all activations of every shard that it visits.
  [[nodiscard]] bool visit_page(const std::optional<actor_hash>& after, std::size_t limit,
                                const std::function<bool(const activation&)>& wanted,
                                const std::function<void(const activation&)>& visit);

  /// Visits all, each with a lock held: `visit` must not come back here.
  void for_each(const std::function<void(activation&)>& visit);

  [[nodiscard]] std::size_t size() const noexcept { return count_.load(std::memory_order_relaxed); }

  /// Waits until it is empty; false when `limit` has passed first.
  [[nodiscard]] bool wait_until_empty(duration limit);

private:
  struct shard {
    mutable std::mutex mutex;
    activation_table activations;
  };
  [[nodiscard]] shard& shard_of(const actor_hash& hash) noexcept {
    return shards_[hash.high % shards_.size()];
  }

  std::array<shard, 64> shards_;
  std::atomic<std::size_t> count_{0};
  std::mutex mutex_;
  std::condition_variable erased_;
};

}  // namespace millrace::runtime::detail
