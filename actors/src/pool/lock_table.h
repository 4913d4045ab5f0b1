// SPDX-License-Identifier: MIT
// Which tickets of a pool hold which mutexes and semaphores.
//
// A lock belongs to a project. A ticket holds all of its locks from its grant to its release; a
// gang holds each of them once, until the release of its last ticket. One that has waited long has
// a place of a lock kept for it, until it is granted: what comes behind it may not take that
// meanwhile, or a ticket of several locks could be passed by those of one for ever.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "pool/pool_ticket.h"

namespace millrace::actors {

/// Threading: none of its own. Cost: O(log n) a lock.
class lock_table {
public:
  /// The same name of two projects is two locks.
  [[nodiscard]] static std::string key(std::string_view project, const pool_lock& lock) {
    return std::string{project} + "/" + lock.name;
  }

  void hold(const pool_ticket& ticket) {
    for (const auto& each : ticket.wish.locks) {
      holders_[key(ticket.wish.project, each)][holder_of(ticket)].insert(ticket.number);
    }
  }

  void give_back(const pool_ticket& ticket) {
    for (const auto& each : ticket.wish.locks) {
      const auto at = holders_.find(key(ticket.wish.project, each));
      const auto own = at->second.find(holder_of(ticket));
      own->second.erase(ticket.number);
      if (own->second.empty()) {
        at->second.erase(own);
      }
      if (at->second.empty()) {
        holders_.erase(at);
      }
    }
  }

  /// The first of its locks that the ticket cannot have now; null: it can have all.
  [[nodiscard]] const pool_lock* missing(const pool_ticket& ticket) const {
    for (const auto& each : ticket.wish.locks) {
      const auto name = key(ticket.wish.project, each);
      const auto* all = holders(name);
      const auto held = all != nullptr ? all->size() : 0;
      const auto* kept = kept_before(name, ticket);
      if (held >= places(each) || (kept != nullptr && held + 1 >= kept->places)) {
        return &each;
      }
    }
    return nullptr;
  }

  /// Keeps a place of it for the ticket, unless one is kept for a ticket before that.
  void keep(const pool_lock& lock, const pool_ticket& ticket) {
    const auto name = key(ticket.wish.project, lock);
    if (kept_before(name, ticket) == nullptr) {
      kept_.insert_or_assign(name, claim{ticket.priority, ticket.number, places(lock)});
    }
  }

  /// Numbers of the tickets that something is kept for.
  [[nodiscard]] std::set<std::uint64_t> kept_for() const {
    std::set<std::uint64_t> numbers;
    for (const auto& [lock, at] : kept_) {
      numbers.insert(at.number);
    }
    return numbers;
  }

  /// Nothing is kept for the ticket any more.
  void forget(const pool_ticket& ticket) {
    for (const auto& each : ticket.wish.locks) {
      const auto at = kept_.find(key(ticket.wish.project, each));
      if (at != kept_.end() && at->second.number == ticket.number) {
        kept_.erase(at);
      }
    }
  }

  struct claim {
    std::uint32_t priority = 0;
    std::uint64_t number = 0;
    std::size_t places = 0;  ///< How many may hold it, by what that ticket wants.
  };
  /// Of a ticket before that one, in order; null: none.
  [[nodiscard]] const claim* kept_before(const std::string& lock, const pool_ticket& than) const {
    const auto at = kept_.find(lock);
    const auto is_before = at != kept_.end() && (at->second.priority != than.priority
                                                     ? at->second.priority > than.priority
                                                     : at->second.number < than.number);
    return is_before ? &at->second : nullptr;
  }

  /// A gang, by name and round, or a ticket that is part of none, by its number.
  using holder = std::tuple<std::string, std::uint32_t, std::uint64_t>;
  using holders_of = std::map<holder, std::set<std::uint64_t>>;  ///< To the numbers of its tickets.
  /// Null: nobody holds it.
  [[nodiscard]] const holders_of* holders(const std::string& lock) const {
    const auto at = holders_.find(lock);
    return at != holders_.end() ? &at->second : nullptr;
  }

private:
  [[nodiscard]] static holder holder_of(const pool_ticket& ticket) {
    const auto& gang = ticket.wish.gang;
    return gang ? holder{gang->name, gang->round, 0} : holder{{}, 0, ticket.number};
  }
  [[nodiscard]] static std::size_t places(const pool_lock& lock) {
    return lock.limit > 1 ? lock.limit : 1;
  }

  std::map<std::string, holders_of> holders_;
  std::map<std::string, claim> kept_;
};

}  // namespace millrace::actors
