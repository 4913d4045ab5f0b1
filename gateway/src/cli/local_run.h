// SPDX-License-Identifier: MIT
// A run in this process, from submission to its last line.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "cli/progress.h"
#include "millrace/actors/definition.h"
#include "millrace/pipeline.capnp.actor.h"
#include "node/node.h"

namespace millrace::gateway::cli {

/// A run that has not ended.
struct unfinished_run {
  std::string id;
  std::string pipeline;
};
/// Those of the project `default`, the oldest first. Errors: those of its actors.
[[nodiscard]] runtime::result<std::vector<unfinished_run>> unfinished_runs(runtime::silo& here);

/// Applies pipelines that tasks of others are runs of; their schedules and triggers are left out,
/// and one that is stored and differs in nothing else stays as it is. Errors: those of the pipeline
/// actor; `invalid_argument`, and nothing is applied, where a task of these, or of `definition` as
/// far as it is selected (as of selection.h), is a run of a pipeline that is neither among them nor
/// stored.
[[nodiscard]] runtime::result<void> apply_beside(
    runtime::silo& here, const std::vector<actors::pipeline_definition>& others,
    const actors::pipeline_definition& definition, const std::vector<bool>& selected);

/// Threading: one thread.
class local_run {
public:
  /// Requires: both outlive the run.
  local_run(node& here, progress& view) : here_(here), view_(view) {}

  /// Its schedules are left out: they are for a server. `params`: a JSON object. `source`: the
  /// folder of the definition's file; empty: it has none. `only`: as of selection.h. Errors: those
  /// of the pipeline actor.
  [[nodiscard]] runtime::result<void> submit(actors::pipeline_definition definition,
                                             const std::string& params, const std::string& source,
                                             const std::vector<std::string>& only, bool no_cache);

  /// Takes up one that an earlier process has begun. Errors: those of its actors.
  [[nodiscard]] runtime::result<void> take_up(const std::string& run);

  /// Shows what happens until the run ends, and cancels it when interrupted; then what failed tasks
  /// complained of, or what the last tasks wrote. It stops looking when results cannot be stored.
  /// Requires: submitted.
  [[nodiscard]] exit_code follow();

  /// One of its tasks, as the API's JSON has it; an empty object where there is none of that name.
  /// Requires: submitted.
  [[nodiscard]] nlohmann::ordered_json task(const std::string& name);

private:
  exit_code finish(bool interrupted);
  void for_each_task(const std::function<void(schemas::TaskStatus::Reader)>& visit);
  void print_answers(const std::vector<std::string>& only);

  node& here_;
  actors::pipeline_definition definition_;
  progress& view_;
  std::string run_;
};

}  // namespace millrace::gateway::cli
