// SPDX-License-Identifier: MIT
// The actors `project` and `pipeline`: names, versions and the list of runs.
#pragma once

#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/state_map.h"

namespace millrace::actors {

/// A namespace of pipelines.
class project_actor final : public schemas::project_base<schemas::ProjectState> {
public:
  runtime::async<> add(add_params params) override;
  runtime::async<pipelines_results> pipelines(pipelines_params params) override;

private:
  runtime::state_map<schemas::ProjectPipeline> pipelines_{*this, "pipelines"};
};

/// A definition in versions, and what ran of it.
class pipeline_actor final : public schemas::pipeline_base<schemas::PipelineState> {
public:
  runtime::async<apply_results> apply(apply_params params) override;
  runtime::async<describe_results> describe(describe_params params) override;
  runtime::async<submit_results> submit(submit_params params) override;
  runtime::async<runs_results> runs(runs_params params) override;
  runtime::async<> run_ended(run_ended_params params) override;
  runtime::async<> run_removed(run_removed_params params) override;

private:
  [[nodiscard]] std::string project() const { return key().substr(0, key().find('/')); }
  [[nodiscard]] std::string pipeline() const { return key().substr(key().find('/') + 1); }
  [[nodiscard]] runtime::error unknown() const;
  [[nodiscard]] runtime::result<void> compile_stored(std::uint32_t version);
  [[nodiscard]] std::optional<runtime::error> refusal(const apply_params& params) const;

  runtime::state_map<schemas::PipelineVersion> versions_{*this, "versions"};
  runtime::state_map<schemas::RunSummary> runs_{*this, "runs"};
  runtime::rng random_;
};

}  // namespace millrace::actors
