// SPDX-License-Identifier: MIT
// Newcomers: the connections that have not shown yet that they are somebody's, and which of them
// goes when there are too many connections.
//
// It is the one that has been there longest, of the address with the most. So whoever takes many
// places loses his own, and who has just come has the longest to show who he is.
//
// Pure: it only keeps pointers.
#pragma once

#include <list>
#include <map>
#include <set>
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
  /// The next to go; null: there is none.
  [[nodiscard]] connection* next() const;
  /// It has come just now. Requires: it is there.
  void pass(connection& one);

private:
  using groups = std::map<std::string, std::list<connection*>>;  // the oldest first
  struct place {
    groups::iterator group;
    std::list<connection*>::iterator at;
  };

  void resize(groups::iterator group, std::size_t before);

  groups groups_;
  std::set<std::pair<std::size_t, std::string>> by_size_;
  std::unordered_map<const connection*, place> places_;
};

}  // namespace millrace::gateway::http
