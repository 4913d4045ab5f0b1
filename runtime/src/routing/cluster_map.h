// SPDX-License-Identifier: MIT
// Cluster map: which silo an actor lives on, as far as this silo knows.
//
// A value that is replaced as a whole. It may be out of date: whoever gets a call for an actor that
// is not his says so, and the caller looks again (router.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/ids.h"
#include "millrace/runtime/interface.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// A silo that takes calls.
struct cluster_member {
  std::string name;
  std::uint64_t incarnation = 0;        ///< Another each time that it starts.
  std::vector<std::string> labels;      ///< `silo_options::labels`.
  std::vector<std::string> type_names;  ///< Of the actors that it hosts, sorted.
};

/// The silos, and who is primary of which partition.
///
/// Threading: immutable. Cost: of a look-up O(log members), for `stateless` and `labels` types
/// O(members).
class cluster_map {
public:
  /// Nobody but this silo, which holds every partition.
  cluster_map() = default;
  /// `primaries`: names, by partition; empty where there is none now.
  cluster_map(std::vector<cluster_member> members, std::vector<std::string> primaries);

  [[nodiscard]] const std::vector<cluster_member>& members() const noexcept { return members_; }
  /// Null when it is not in.
  [[nodiscard]] const cluster_member* find(std::string_view name) const noexcept;

  /// The name of the silo on which an actor lives, `self` where that is this one. What may live on
  /// several lives on this one if it can; else on the one that its key chooses among them.
  /// Errors: `unavailable` when no silo that is in can have it.
  [[nodiscard]] result<std::string_view> host_of(std::string_view self,
                                                 const interface_info& interface,
                                                 std::string_view key) const;

  /// All silos on which an actor may live, by name: those of a type that may live on several, else
  /// one. Errors: as of `host_of`.
  [[nodiscard]] result<std::vector<std::string>> hosts_of(std::string_view self,
                                                          const interface_info& interface,
                                                          std::string_view key) const;

  /// The silo that the key chooses among those that host a type of which only the name is known:
  /// that one knows where the actor lives. Null when nobody hosts it.
  [[nodiscard]] const cluster_member* who_knows(std::string_view type,
                                                std::string_view key) const noexcept;

private:
  template <class May>
  [[nodiscard]] const cluster_member* chosen_by(std::string_view key, May may) const noexcept;
  [[nodiscard]] result<std::string_view> primary_of(const interface_info& interface,
                                                    std::string_view key) const;
  [[nodiscard]] result<std::string_view> one_of_those(std::string_view self,
                                                      const interface_info& interface,
                                                      std::string_view key) const;

  std::vector<cluster_member> members_;  // by name
  std::vector<std::string> primaries_;
};

}  // namespace millrace::runtime
