// SPDX-License-Identifier: MIT
// The actor `pool`: which attempts have a slot of which executor, and which wait; one for all
// pools.
//
// The decisions are `pool_queue`'s and `lease_table`'s; this keeps a row for every ticket and tells
// the executors what they are granted: with the commit of the grant, and in the order of its
// number.
#pragma once

#include "millrace/actors/executor_lease.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/state_map.h"
#include "pool/lease_table.h"
#include "pool/pool_figures.h"
#include "pool/pool_queue.h"

namespace millrace::actors {

class pool_actor final : public schemas::pool_base<schemas::PoolState> {
public:
  /// Without `timing` no executor is lost but by its own word. Requires: `time` and `figures`
  /// outlive it.
  pool_actor(const runtime::clock& time, std::optional<lease_timing> timing, pool_figures& figures);

  runtime::async<> on_activate() override;
  runtime::async<> on_timer(std::string name) override;

  runtime::async<join_results> join(join_params params) override;
  runtime::async<> leave(leave_params params) override;
  runtime::async<> enqueue(enqueue_params params) override;
  runtime::async<> release(release_params params) override;
  runtime::async<> enqueue_all(enqueue_all_params params) override;
  runtime::async<> cancel(cancel_params params) override;
  runtime::async<> remove_run(remove_run_params params) override;
  runtime::async<status_results> status() override;
  runtime::async<renew_results> renew(renew_params params) override;
  runtime::async<> resume_run(resume_run_params params) override;
  runtime::async<> drain(drain_params params) override;
  runtime::async<reasons_results> reasons(reasons_params params) override;
  runtime::async<> set_project(set_project_params params) override;
  runtime::async<queued_runs_results> queued_runs(queued_runs_params params) override;
  runtime::async<> lose_more(lose_more_params params) override;
  runtime::async<> pause_run(pause_run_params params) override;
  runtime::async<> storage(storage_params params) override;
  runtime::async<usage_results> usage(usage_params params) override;

private:
  template <class Entry>
  void add(Entry entry);
  void restore_projects();
  void save_usage(std::string_view project);
  void save_storage(std::string_view executor, const pool_queue::storage_by_project& was);
  void put_shares(schemas::Pool::StatusResults::Builder into) const;
  void put_offers(schemas::Pool::StatusResults::Builder into) const;
  void put_pools(schemas::Pool::StatusResults::Builder into) const;
  void take_back(std::string_view task, std::uint32_t attempt);
  void end(const std::vector<pool_ticket>& tickets, schemas::AttemptEnd end,
           const std::string& why = {});
  void restore_tickets();
  void take_over(std::vector<pool_ticket> tickets, bool same_lineage);
  [[nodiscard]] bool requeue(schemas::Pool::EnqueueParams::Reader wanted);
  void store_news();
  void grant();
  void set_drain(const std::string& executor, bool drains, std::string_view refusal);
  void hear(std::string_view executor);
  void watch();
  void lose(const std::string& executor);
  void lose_runs(const std::string& executor);

  runtime::state_map<schemas::PoolExecutor> executors_{*this, "executors"};
  runtime::state_map<schemas::PoolRun> runs_{*this, "runs"};
  runtime::state_map<schemas::PoolTicket> tickets_{*this, "tickets"};
  runtime::state_map<schemas::PoolProject> projects_{*this, "projects"};
  runtime::state_map<schemas::PausedRun> paused_{*this, "paused"};
  runtime::state_map<schemas::PoolStorage> storage_{*this, "storage"};
  pool_queue queue_;
  const runtime::clock& time_;
  pool_figures& figures_;
  std::optional<lease_table> leases_;  // of the executors that are not lost
};

}  // namespace millrace::actors
