// SPDX-License-Identifier: MIT
// Surroundings: what of its cluster a silo reaches over sockets and shared files.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordination/coordination_store.h"
#include "link/link_hub.h"
#include "millrace/runtime/cluster.h"
#include "routing/silo_links.h"

namespace millrace::runtime::detail {

/// Makes a silo's access to the store, and its links. Tests put others in their place.
class surroundings {
public:
  surroundings() = default;
  surroundings(const surroundings&) = delete;
  surroundings& operator=(const surroundings&) = delete;
  virtual ~surroundings() = default;

  /// As `open_coordination`.
  [[nodiscard]] virtual result<std::unique_ptr<coordination_store>> open_store(
      const cluster_options& cluster, const clock& time, steady_time deadline,
      coordination_options options) = 0;

  /// As the constructor of `peer_links`.
  [[nodiscard]] virtual std::unique_ptr<silo_links> make_links(
      link_options options, router& routes, const clock& time,
      std::function<void(const std::string&)> warn, peer_watch& watch) = 0;
};

/// Those of `cluster_options`. Ownership: for good.
[[nodiscard]] surroundings& real_surroundings();

}  // namespace millrace::runtime::detail
