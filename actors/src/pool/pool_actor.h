// SPDX-License-Identifier: MIT
// The actor `pool`: which attempts have a slot of which executor, and which wait.
//
// The decisions are `pool_queue`'s; this keeps a row for every ticket and tells the executors what
// they are granted: with the commit of the grant, and in the order of its number.
#pragma once

#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/state_map.h"
#include "pool/pool_queue.h"

namespace millrace::actors {

class pool_actor final : public schemas::pool_base<schemas::PoolState> {
public:
  runtime::async<> on_activate() override;

  runtime::async<join_results> join(join_params params) override;
  runtime::async<> leave(leave_params params) override;
  runtime::async<> enqueue(enqueue_params params) override;
  runtime::async<> release(release_params params) override;
  runtime::async<> enqueue_all(enqueue_all_params params) override;
  runtime::async<> cancel(cancel_params params) override;
  runtime::async<> remove_run(remove_run_params params) override;
  runtime::async<status_results> status() override;

private:
  void add(std::string_view task, std::uint32_t attempt, std::uint8_t priority, bool shared);
  void take_back(std::string_view task, std::uint32_t attempt);
  void end(const std::vector<pool_ticket>& tickets, schemas::AttemptEnd end);
  void grant();

  runtime::state_map<schemas::PoolExecutor> executors_{*this, "executors"};
  runtime::state_map<schemas::PoolRun> runs_{*this, "runs"};
  runtime::state_map<schemas::PoolTicket> tickets_{*this, "tickets"};
  pool_queue queue_;
};

}  // namespace millrace::actors
