// SPDX-License-Identifier: MIT
// The tickets that wait for the pools, in the order in which a grant looks at them. A gang stands
// in it as one, by its oldest ticket.
//
// Tickets of one shape find a place, or find none, alike. Those of a shape that also want the same
// locks form a lane, of which the first goes first. A lane whose lock is taken is put aside until
// one is given back, and then the first lane of each shape and limit is looked at for all: so a
// grant costs what there are shapes, not what waits. Each pool has its own, so that what waits for
// one costs nothing where it cannot go.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pool/pool_ticket.h"

namespace millrace::actors {

/// Why nothing is granted of a run, whatever is free.
enum class run_hold : std::uint8_t {
  none,
  lost,    ///< Its files were, and what it ran has not all ended.
  paused,  ///< By a person.
};

/// What decides where there is a place for a ticket, and its place in the order but for its age.
struct ticket_shape {
  std::string pool{default_pool};
  std::uint32_t priority = 0;
  std::string project = {};
  std::string executor = {};  ///< That has its run; empty: any may.
  run_hold hold = run_hold::none;
  resource_amounts resources = {};
  resource_amounts at_most = {};
  std::uint32_t most_ranks = 0;
  pool_names run_pools = {};
  std::uint32_t ranks = 0;    ///< Of a gang; 0: it is none.
  bool is_one_place = false;  ///< All ranks go to one executor.

  /// Whether its run may have any executor of its pool.
  [[nodiscard]] bool takes_any() const {
    return at_most.empty() && most_ranks == 0 && run_pools.empty();
  }

  friend auto operator<=>(const ticket_shape&, const ticket_shape&) = default;
};

/// Threading: none of its own. Cost: O(log n) a ticket, and as many steps as there are lanes that
/// it brings back.
class waiting_lanes {
public:
  using locks = std::vector<pool_lock>;
  using lock_place = std::pair<std::string, std::uint32_t>;  ///< By `lock_table::key`; the limit.
  struct lane {
    std::set<std::uint64_t> numbers = {};
    std::optional<lock_place> parked_on = {};  ///< What it waits for; nothing: it is looked at.
    std::string woken_from = {};  ///< The lock that it is looked at for, before others that wait.
  };
  using lanes = std::map<locks, lane>;
  using queue = std::map<std::uint64_t, lanes::iterator>;  ///< By their first tickets.
  struct tickets {
    std::set<std::uint64_t> numbers = {};  ///< Of all lanes.
    lanes all = {};
    queue ready = {};  ///< Those that are not parked.
  };
  using shapes = std::map<ticket_shape, tickets>;
  using lines = std::map<std::uint64_t, shapes::iterator>;  ///< By their first ready tickets.
  using projects = std::map<std::string, lines>;
  using priorities = std::map<std::uint32_t, projects, std::greater<>>;
  using pools = std::map<std::string, priorities, std::less<>>;

  void put_in(const ticket_shape& shape, const pool_ticket& ticket);
  void take_out(const ticket_shape& shape, const pool_ticket& ticket);

  /// Puts the first ready lane of a shape aside until `wake` for that lock, which it wants.
  void park(shapes::iterator at, const pool_lock& lock);
  /// The first lane of each shape and limit that waits for a lock of the ticket may be looked at.
  void wake(const pool_ticket& ticket);

  /// How many lanes `wake` has brought back so far.
  [[nodiscard]] std::uint64_t woken() const noexcept { return woken_; }

  [[nodiscard]] const shapes& all() const noexcept { return shapes_; }
  /// Nothing if nothing of it may be looked at.
  [[nodiscard]] std::optional<shapes::iterator> find(const ticket_shape& shape);
  /// The shapes of which something may be looked at. No map of it is empty.
  [[nodiscard]] const pools& listed() const noexcept { return listed_; }
  /// Those of one pool and priority, and of one project of these; null: none are left.
  [[nodiscard]] const projects* find(std::string_view pool, std::uint32_t priority) const;
  [[nodiscard]] const lines* find(std::string_view pool, std::uint32_t priority,
                                  const std::string& project) const;

private:
  void wake(const std::string& lock);
  void list(shapes::iterator at);
  void unlist(shapes::iterator at);
  [[nodiscard]] queue& queue_of(shapes::iterator at, const lane& of);
  void leave_queue(shapes::iterator at, const lane& of);

  shapes shapes_;
  pools listed_;
  struct parked {
    shapes::iterator at;
    queue lanes = {};
  };
  std::map<lock_place, std::map<const ticket_shape*, parked>> parked_;
  std::uint64_t woken_ = 0;
};

}  // namespace millrace::actors
