// SPDX-License-Identifier: MIT
// The actor `pool`: which attempts have a slot of which executor, and which wait.
//
// Order: priority, then age. Every ticket is a row; the order and the use of the slots are kept in
// memory and rebuilt from the rows.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/state_map.h"

namespace millrace::actors {

class pool_actor final : public schemas::pool_base<schemas::PoolState> {
public:
  runtime::async<> on_activate() override;

  runtime::async<> join(join_params params) override;
  runtime::async<> enqueue(enqueue_params params) override;
  runtime::async<> release(release_params params) override;
  runtime::async<status_results> status() override;

private:
  using attempt_key = std::pair<std::string, std::uint32_t>;
  [[nodiscard]] static std::pair<int, std::uint64_t> place_of(schemas::PoolTicket::Reader ticket,
                                                              std::uint64_t number) {
    return {-static_cast<int>(ticket.getPriority()), number};
  }
  void grant();

  runtime::state_map<schemas::PoolExecutor> executors_{*this, "executors"};
  runtime::state_map<schemas::PoolTicket> tickets_{*this, "tickets"};
  std::set<std::pair<int, std::uint64_t>> waiting_;  // priority (highest first), ticket
  std::map<attempt_key, std::uint64_t> by_attempt_;
  std::map<std::string, std::uint32_t> used_;  // slots, by executor
};

}  // namespace millrace::actors
