// SPDX-License-Identifier: MIT
// Runs in JSON. A run that waits for its turn is `queued` here, where its actor has it running.
#pragma once

#include <nlohmann/json.hpp>

#include "api/json_shape.h"
#include "http/message.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

[[nodiscard]] nlohmann::ordered_json json_of_run(schemas::RunStatus::Reader run);
[[nodiscard]] nlohmann::ordered_json json_of_runs(
    const schemas::pipeline_interface::runs_results& page);
[[nodiscard]] http::response answer_of_run(int status, schemas::RunStatus::Reader run);
[[nodiscard]] http::response answer_of_runs(const schemas::pipeline_interface::runs_results& page);

[[nodiscard]] json_shape run_shape();
/// Of a row of a list; it may have all of the run as `details`.
[[nodiscard]] json_shape run_summary_shape();
[[nodiscard]] json_shape runs_shape();

}  // namespace millrace::gateway
