// SPDX-License-Identifier: MIT
// The actors `project` and `pipeline`: names, versions and the list of runs.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/actors/retention.h"
#include "millrace/actors/schedule.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/paged_map.h"
#include "millrace/runtime/state_map.h"

namespace millrace::actors {

/// A namespace of pipelines.
class project_actor final : public schemas::project_base<schemas::ProjectState> {
public:
  runtime::async<> on_activate() override;
  runtime::async<> add(add_params params) override;
  runtime::async<pipelines_results> pipelines(pipelines_params params) override;
  runtime::async<> remove(remove_params params) override;

private:
  runtime::state_map<schemas::ProjectPipeline> pipelines_{*this, "pipelines"};
};

/// A definition in versions, and what ran of it. Neither runs that have ended nor older versions
/// are kept in memory, so that a submission costs the same whatever the history.
class pipeline_actor final : public schemas::pipeline_base<schemas::PipelineState> {
public:
  explicit pipeline_actor(run_retention kept = {}) : kept_(kept) {}

  runtime::async<> on_activate() override;
  runtime::async<> on_timer(std::string name) override;
  runtime::async<> on_reminder(std::string name) override;

  runtime::async<apply_results> apply(apply_params params) override;
  runtime::async<describe_results> describe(describe_params params) override;
  runtime::async<submit_results> submit(submit_params params) override;
  runtime::async<submit_new_results> submit_new(submit_new_params params) override;
  runtime::async<runs_results> runs(runs_params params) override;
  runtime::async<> run_ended(run_ended_params params) override;
  runtime::async<> run_removed(run_removed_params params) override;
  runtime::async<> submit_scheduled(submit_scheduled_params params) override;
  runtime::async<> remove() override;

private:
  using summary = runtime::message<schemas::RunSummary>;
  struct run_page;

  [[nodiscard]] std::string project() const { return key().substr(0, key().find('/')); }
  [[nodiscard]] std::string pipeline() const { return key().substr(key().find('/') + 1); }
  [[nodiscard]] bool is_known() const {
    return state().getLatestVersion() > 0 && !state().getRemoving();
  }
  [[nodiscard]] runtime::error unknown() const;
  [[nodiscard]] runtime::result<void> compile_stored(std::uint32_t version);
  void put_older_versions_away();
  [[nodiscard]] std::optional<runtime::error> refusal(const apply_params& params) const;
  [[nodiscard]] runtime::async<std::optional<std::uint32_t>> version_of(std::string run);
  [[nodiscard]] std::optional<runtime::error> refusal_to(capnp::List<schemas::Label>::Reader labels,
                                                         std::string_view params) const;
  // The firing that starts a run; without a name: none does.
  struct firing {
    std::string schedule;
    std::int64_t scheduled_at = 0;
    std::string backfill;
  };
  template <class Params>
  [[nodiscard]] runtime::result<void> begin_run(const Params& params, const std::string& run,
                                                const firing& of);
  [[nodiscard]] runtime::result<void> begin_scheduled(const firing& of, const std::string& run);
  void tell_schedules(const std::vector<schedule_definition>& schedules);
  void add_active(run_page& page) const;
  runtime::async<> add_ended(run_page& page);
  [[nodiscard]] run_retention retention() const;
  void look_for_old_runs();
  void look_again_at(runtime::wall_time due);
  runtime::async<> expire_old_runs();
  void expire(schemas::RunSummary::Reader run);
  void remove_later();
  runtime::async<> remove_some();

  runtime::state_map<schemas::PipelineVersion> versions_{*this, "versions"};  // the latest only
  runtime::paged_map<schemas::PipelineVersion> older_versions_{*this, "older_versions"};
  runtime::state_map<schemas::RunSummary> active_{*this, "active"};
  runtime::paged_map<schemas::RunSummary> runs_{*this, "runs"};
  runtime::paged_map<schemas::RunSummary> ended_{*this, "ended"};
  const run_retention kept_;
  mutable std::optional<run_retention> definition_retention_;  // of the latest version, once read
  std::set<std::string> expiring_;  // have been told, and have not answered by `run_removed`
  runtime::rng random_;
};

}  // namespace millrace::actors
