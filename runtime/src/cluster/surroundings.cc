// SPDX-License-Identifier: MIT
#include "cluster/surroundings.h"

#include "cluster/cluster_setup.h"
#include "routing/peer_links.h"

namespace millrace::runtime::detail {

namespace {

class sockets_and_files final : public surroundings {
public:
  result<std::unique_ptr<coordination_store>> open_store(const cluster_options& cluster,
                                                         const clock& time, steady_time deadline,
                                                         coordination_options options) override {
    return open_coordination(cluster, time, deadline, std::move(options));
  }
  std::unique_ptr<silo_links> make_links(link_options options, router& routes, const clock& time,
                                         std::function<void(const std::string&)> warn,
                                         peer_watch& watch) override {
    return std::make_unique<peer_links>(std::move(options), routes, time, rng{}, std::move(warn),
                                        &watch);
  }
};

}  // namespace

surroundings& real_surroundings() {
  static sockets_and_files real;  // without state
  return real;
}

}  // namespace millrace::runtime::detail
