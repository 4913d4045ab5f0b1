// SPDX-License-Identifier: MIT
// One attempt's place in the queue of the pools, and what it asks for.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/actors/pools.h"
#include "millrace/actors/resources.h"
#include "millrace/runtime/clock.h"

namespace millrace::actors {

/// What so many tickets of a project hold at a time.
struct pool_lock {
  std::string name;
  std::uint32_t limit = 0;  ///< 0: a mutex, which one holds.

  friend auto operator<=>(const pool_lock&, const pool_lock&) = default;
};

/// That a ticket is granted together with others or not at all.
struct pool_gang {
  std::string name;         ///< `RUN/task`.
  std::uint32_t round = 0;  ///< Those of one round belong together.
  std::uint32_t ranks = 0;  ///< How many they are.
  std::uint32_t rank = 0;   ///< Which one this is, from 0.

  friend bool operator==(const pool_gang&, const pool_gang&) = default;
};

/// What a ticket asks for besides a slot.
struct pool_wish {
  std::string project = {};
  resource_amounts resources = {};
  resource_amounts at_most = {};  ///< What the executor that gets its run has to offer.
  std::vector<pool_lock> locks = {};
  bool preemptible = false;  ///< It makes way for one of higher priority.
  std::optional<pool_gang> gang = {};
  std::uint32_t most_ranks = 0;    ///< As `at_most`: slots of the executor that gets its run.
  std::string pool{default_pool};  ///< Whose executors it goes to.
  pool_names run_pools = {};       ///< As `at_most`: others that the executor belongs to as well.

  friend bool operator==(const pool_wish&, const pool_wish&) = default;
};

/// One attempt's place in the queue.
struct pool_ticket {
  std::uint64_t number = 0;  ///< In order of arrival; never used again.
  std::string task;          ///< Key of the task actor.
  std::uint32_t attempt = 0;
  std::uint32_t priority = 0;  ///< Higher is served first.
  std::string executor = {};   ///< Empty: none has it yet.
  bool shared = false;         ///< It goes where the other tickets of its run go.
  pool_wish wish = {};
  runtime::wall_time queued_at = {};
  runtime::wall_time granted_at = {};  ///< Only with `executor`.
  bool promised = false;  ///< The executor is not told of it before others have made way there.
  std::uint64_t preempted_for = 0;  ///< The number of the ticket that it makes way for; 0: none.

  friend bool operator==(const pool_ticket&, const pool_ticket&) = default;
};

}  // namespace millrace::actors
