// SPDX-License-Identifier: MIT
// What the tests of the pool's rules share: a pool under a clock that they move.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "pool/pool_queue.h"

namespace millrace::actors {

using names = std::vector<std::string>;

inline constexpr runtime::wall_time start{std::chrono::hours{1}};

/// What a task of the project asks for.
inline pool_wish of(std::string project, resource_amounts resources = {}) {
  return {.project = std::move(project), .resources = std::move(resources)};
}

inline names tasks_of(const std::vector<pool_grant>& grants) {
  names made;
  made.reserve(grants.size());
  for (const auto& each : grants) {
    made.push_back(each.ticket.task);
  }
  return made;
}

/// A pool that numbers its tickets itself. Priorities are 50 unless told; what is granted ahead of
/// the slots is nothing unless told.
struct lab {
  explicit lab(pool_queue of = pool_queue{0}) : pool(std::move(of)) {}

  void want(const std::string& task, pool_wish wish = {}, std::uint32_t priority = 50,
            bool shared = false) {
    REQUIRE(pool.enqueue(++number, task, 1, priority, shared, std::move(wish), now));
  }
  /// Ranks `from` to `to` of a gang, each a task.
  void want_ranks(const std::string& name, std::uint32_t ranks, std::uint32_t from,
                  std::uint32_t to, pool_wish wish = {}, std::uint32_t priority = 50,
                  bool shared = false) {
    for (auto rank = from; rank < to; ++rank) {
      wish.gang = {name, 0, ranks, rank};
      want(name + "[" + std::to_string(rank) + "]", wish, priority, shared);
    }
  }
  void want_gang(const std::string& name, std::uint32_t ranks, const pool_wish& wish = {},
                 std::uint32_t priority = 50, bool shared = false) {
    want_ranks(name, ranks, 0, ranks, wish, priority, shared);
  }
  /// Its host is its name with ".host".
  void join(const std::string& executor, std::uint32_t slots, resource_amounts resources = {},
            std::uint64_t incarnation = 1) {
    REQUIRE(pool.join(executor, incarnation, slots, std::move(resources), now, executor + ".host")
                .empty());
  }
  void join_pools(const std::string& executor, std::uint32_t slots, pool_names pools,
                  resource_amounts resources = {}) {
    REQUIRE(pool.join(executor, 1, slots, std::move(resources), now, executor + ".host",
                      std::move(pools))
                .empty());
  }
  void end(const std::string& task) { REQUIRE(pool.release(task, 1, now)); }
  void end_gang(const std::string& name, std::uint32_t ranks) {
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      end(name + "[" + std::to_string(rank) + "]");
    }
  }
  /// Those that start; `granted` has them whole.
  names grant() {
    granted = pool.grant(now);
    return tasks_of(granted);
  }
  [[nodiscard]] std::string why(const std::string& task) const { return pool.reason(task, now); }
  [[nodiscard]] const project_share& share(const std::string& project) const {
    return *pool.shares().find(project);
  }

  pool_queue pool;
  std::uint64_t number = 0;
  runtime::wall_time now = start;
  std::vector<pool_grant> granted;
};

}  // namespace millrace::actors
