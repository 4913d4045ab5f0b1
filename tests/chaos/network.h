// SPDX-License-Identifier: MIT
// Network: a network name space for each machine of a cluster, all on one bridge, and the ways
// between them that can be cut, each direction by itself.
//
// A way is cut by a neighbour entry with an address that nobody has: what is sent is lost without a
// word, as in a cable that was pulled. The harness itself stays connected to all.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace chaos {

/// Threading: one thread. Needs the rights of root.
class network {
public:
  /// Errors: throws `std::runtime_error` when there is no right to. `machines`: at most 9 names.
  explicit network(const std::vector<std::string>& machines);
  network(const network&) = delete;
  network& operator=(const network&) = delete;
  /// Removes all of it.
  ~network();

  [[nodiscard]] std::string name_space(const std::string& machine) const;
  [[nodiscard]] std::string address(const std::string& machine) const;

  void cut(const std::string& from, const std::string& to);
  void heal();
  [[nodiscard]] bool is_whole() const { return cut_.empty(); }

private:
  void remove();
  struct place {
    std::string name_space;
    std::string address;
  };
  std::string prefix_;  // of all names
  std::map<std::string, place> machines_;
  std::set<std::pair<std::string, std::string>> cut_;
};

}  // namespace chaos
