// SPDX-License-Identifier: MIT
#include "routing/cluster_map.h"

#include <algorithm>

namespace millrace::runtime {

namespace {

bool has_labels(const cluster_member& silo, std::string_view wanted) {
  while (!wanted.empty()) {
    const auto label = wanted.substr(0, wanted.find(','));
    if (std::find(silo.labels.begin(), silo.labels.end(), label) == silo.labels.end()) {
      return false;
    }
    wanted.remove_prefix(std::min(label.size() + 1, wanted.size()));
  }
  return true;
}

bool hosts(const cluster_member& silo, std::string_view type) {
  return std::binary_search(silo.type_names.begin(), silo.type_names.end(), type);
}

bool hosts(const cluster_member& silo, const interface_info& interface) {
  return hosts(silo, interface.type) &&
         (interface.placement != actor_placement::labels || has_labels(silo, interface.labels));
}

std::string named(const interface_info& interface, std::string_view key) {
  return std::string{interface.type} + "/" + std::string{key};
}

}  // namespace

cluster_map::cluster_map(std::vector<cluster_member> members, std::vector<std::string> primaries)
    : members_(std::move(members)), primaries_(std::move(primaries)) {
  std::sort(members_.begin(), members_.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
}

const cluster_member* cluster_map::find(std::string_view name) const noexcept {
  const auto at =
      std::lower_bound(members_.begin(), members_.end(), name,
                       [](const auto& each, std::string_view than) { return each.name < than; });
  return at != members_.end() && at->name == name ? &*at : nullptr;
}

result<std::string_view> cluster_map::host_of(std::string_view self,
                                              const interface_info& interface,
                                              std::string_view key) const {
  if (members_.empty()) {
    return self;
  }
  switch (interface.placement) {
    case actor_placement::partition:
      return primary_of(interface, key);
    case actor_placement::silo_bound: {
      const auto name = key.substr(0, key.find('/'));
      if (find(name) == nullptr) {
        return error{errc::unavailable, "silo '" + std::string{name} + "', which the key of " +
                                            named(interface, key) +
                                            " names, is not in the cluster now"};
      }
      return name;
    }
    case actor_placement::stateless:
    case actor_placement::labels:
      break;
  }
  return one_of_those(self, interface, key);
}

result<std::string_view> cluster_map::primary_of(const interface_info& interface,
                                                 std::string_view key) const {
  const auto partition = static_cast<std::size_t>(partition_of(
      interface.group, key, interface.affinity, static_cast<std::uint16_t>(primaries_.size())));
  const std::string_view primary = primaries_[partition];
  if (primary.empty()) {
    return error{errc::unavailable,
                 "partition " + std::to_string(partition) + ", in which " + named(interface, key) +
                     " lies, has no primary now",
                 std::chrono::milliseconds{100}};
  }
  return primary;
}

result<std::vector<std::string>> cluster_map::hosts_of(std::string_view self,
                                                       const interface_info& interface,
                                                       std::string_view key) const {
  const auto host = host_of(self, interface, key);
  if (!host) {
    return host.error();
  }
  const bool is_one = interface.placement == actor_placement::partition ||
                      interface.placement == actor_placement::silo_bound;
  if (is_one || members_.empty()) {
    return std::vector{std::string{*host}};
  }
  std::vector<std::string> names;
  for (const auto& each : members_) {
    if (hosts(each, interface)) {
      names.push_back(each.name);
    }
  }
  return names;
}

// By the highest of one hash for each silo: when one leaves, only its keys move.
// (Rendezvous hashing: Thaler and Ravishankar, IEEE/ACM Transactions on Networking 6, 1998.)
template <class May>
const cluster_member* cluster_map::chosen_by(std::string_view key, May may) const noexcept {
  const cluster_member* chosen = nullptr;
  std::uint64_t highest = 0;
  for (const auto& each : members_) {
    if (!may(each)) {
      continue;
    }
    const auto weight = hash_of(each.name, key).high;
    if (chosen == nullptr || weight > highest) {
      chosen = &each;
      highest = weight;
    }
  }
  return chosen;
}

const cluster_member* cluster_map::who_knows(std::string_view type,
                                             std::string_view key) const noexcept {
  return chosen_by(key, [&](const cluster_member& each) { return hosts(each, type); });
}

result<std::string_view> cluster_map::one_of_those(std::string_view self,
                                                   const interface_info& interface,
                                                   std::string_view key) const {
  if (const auto* here = find(self); here != nullptr && hosts(*here, interface)) {
    return self;
  }
  const auto* chosen =
      chosen_by(key, [&](const cluster_member& each) { return hosts(each, interface); });
  if (chosen == nullptr) {
    const std::string labels{interface.labels};
    return error{errc::unavailable, "no silo that is in the cluster hosts actors of type '" +
                                        std::string{interface.type} + "'" +
                                        (labels.empty() ? "" : " and has the labels " + labels)};
  }
  return std::string_view{chosen->name};
}

}  // namespace millrace::runtime
