// SPDX-License-Identifier: MIT
// Newcomers: the connections that have not shown yet that they are somebody's, and which of them
// goes when there are too many connections.
//
// It is the one that has been there longest, of the address with the most; of addresses with as
// many, of the one whose oldest has been there longest. So whoever takes many places loses his own,
// and who has just come has the longest to show who he is.
//
// Pure: it only keeps pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

namespace millrace::gateway::http {

class connection;

/// Threading: none of its own. Cost of each: O(log n) in the number of addresses.
class newcomers {
public:
  /// Requires: `one` is not there. `group`: see `address_group`.
  void enter(connection& one, const std::string& group);
  /// Does nothing when it is not there.
  void leave(const connection& one);
  [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }
  /// The next to go of those that may, when at most so many are looked at; null: none.
  template <class May>
  [[nodiscard]] connection* next(unsigned looks, May&& may_go) const {
    for (const auto& [ranked, group] : order_) {
      for (const auto& each : *group) {
        if (looks-- == 0) {
          return nullptr;
        }
        if (may_go(*each.who)) {
          return each.who;
        }
      }
    }
    return nullptr;
  }

private:
  struct member {
    connection* who;
    std::uint64_t entered;
  };
  using members = std::list<member>;  // the oldest first
  using groups = std::map<std::string, members>;
  struct place {
    groups::value_type* group;
    members::iterator at;
  };

  // The lowest goes first. Requires: there is one.
  static std::pair<std::size_t, std::uint64_t> rank_of(const members& group) {
    return {SIZE_MAX - group.size(), group.front().entered};
  }
  void rank(const members& group);
  void unrank(const members& group);

  std::uint64_t entered_ = 0;
  groups groups_;
  std::map<std::pair<std::size_t, std::uint64_t>, const members*> order_;
  std::unordered_map<const connection*, place> places_;
};

}  // namespace millrace::gateway::http
