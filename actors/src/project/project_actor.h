// SPDX-License-Identifier: MIT
// The actor `project`: names.
#pragma once

#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/state_map.h"

namespace millrace::actors {

/// A namespace of pipelines.
class project_actor final : public schemas::project_base<schemas::ProjectState> {
public:
  runtime::async<> on_activate() override;
  runtime::async<> add(add_params params) override;
  runtime::async<pipelines_results> pipelines(pipelines_params params) override;
  runtime::async<> remove(remove_params params) override;
  runtime::async<> configure(configure_params params) override;
  runtime::async<settings_results> settings() override;

private:
  [[nodiscard]] std::uint32_t settings_version() const { return state().getTimesSet() + 1; }

  runtime::state_map<schemas::ProjectPipeline> pipelines_{*this, "pipelines"};
};

}  // namespace millrace::actors
