// SPDX-License-Identifier: MIT
// A run in this process, from submission to its last line.
#pragma once

#include <functional>
#include <string>

#include "cli/cli.h"
#include "cli/progress.h"
#include "millrace/actors/definition.h"
#include "millrace/pipeline.capnp.actor.h"
#include "node/node.h"

namespace millrace::gateway::cli {

/// Threading: one thread.
class local_run {
public:
  /// Requires: all outlive the run.
  local_run(node& here, const actors::pipeline_definition& definition, progress& view)
      : here_(here), definition_(definition), view_(view) {}

  /// `params`: a JSON object. Errors: those of the pipeline actor.
  [[nodiscard]] runtime::result<void> submit(const std::string& params);

  /// Shows what happens until the run ends, and cancels it when interrupted; then what failed tasks
  /// complained of, or what the last tasks wrote. It stops looking when results cannot be stored.
  /// Requires: submitted.
  [[nodiscard]] exit_code follow();

private:
  exit_code finish(bool interrupted);
  void for_each_task(const std::function<void(schemas::TaskStatus::Reader)>& visit);
  void print_answers();

  node& here_;
  const actors::pipeline_definition& definition_;
  progress& view_;
  std::string run_;
};

}  // namespace millrace::gateway::cli
