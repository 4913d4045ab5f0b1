// SPDX-License-Identifier: MIT
// Task spec: what a run tells one of its task instances to do.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/pipeline.capnp.actor.h"
#include "millrace/runtime/result.h"
#include "millrace/runtime/trace.h"
#include "run/run_graph.h"

namespace millrace::actors {

/// The longest that a call of an actor may take: so long its answer is known to who asks again.
inline constexpr runtime::duration actor_call_timeout_max = std::chrono::hours{24};

/// What a task is told of its run.
struct task_spec_run {
  std::string key;
  std::string project;
  std::uint32_t epoch = 0;
  std::string source = {};  ///< The folder of the definition's file; empty: there is none.
  bool uses_kept = false;   ///< Results that are kept of earlier runs.
  runtime::trace_context place = {};
};

/// Whether it looks for a kept result before it asks for a slot, which its run then leaves to it.
[[nodiscard]] bool looks_up(const schemas::TaskSpec::Reader& spec);

/// With expressions filled in and the environment whole but for what the executor adds.
/// Errors: those of an expression without a value.
[[nodiscard]] runtime::result<schemas::task_interface::begin_params> task_spec_of(
    const run_graph& graph, instance_id id, const task_spec_run& run);

}  // namespace millrace::actors
