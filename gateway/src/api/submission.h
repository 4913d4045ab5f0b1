// SPDX-License-Identifier: MIT
// Submission: a run that a client asks a pipeline for, asked for until it is known what became of
// that.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/api.h"
#include "millrace/pipeline.capnp.actor.h"

namespace millrace::gateway {

/// What a client's text asks for.
struct wanted_run {
  schemas::pipeline_interface::submit_params params;
  std::string idempotency_key;  ///< Empty: none.
  std::string webhook = {};     ///< That starts it; empty: none.
  std::string once_for = {};    ///< As of `Pipeline.submitNew`.
};

/// Whether `idempotency_key` may stand in the text; else the request has a header for it.
enum class key_in_text : bool { no, yes };

[[nodiscard]] json_shape wanted_run_shape(key_in_text key);

/// Of `{"params": {...}, "labels": {...}, "version": 3}`; no text at all asks for a run with
/// neither. Errors: `invalid_argument` naming the place.
[[nodiscard]] runtime::result<wanted_run> wanted_run_of(std::string_view text, key_in_text key);

using submitted = runtime::result<schemas::pipeline_interface::submit_new_results>;

/// Asks the pipeline with that key for a run. `then` is called once, on any thread, perhaps within
/// this call: with the run, which may be asked by then, or why there is none; with an empty one
/// where `once_for` says so. Errors:
/// `outcome_unknown`: there may be one; those of the pipeline, of a call, and of a full disk.
void submit(const api_parts& parts, const std::string& pipeline, wanted_run&& wanted,
            std::shared_ptr<const runtime::request_context> context,
            std::function<void(submitted)> then);

/// Calls `then` when the run, whose beginning is stored and on its way, may be asked for; after two
/// seconds whatever is known of it. `context`: of the asking; null: none.
void when_begun(runtime::silo& silo, const std::string& run,
                std::shared_ptr<const runtime::request_context> context,
                std::function<void()> then);

/// The same as `submit`, answered with 201: at once, or after `wait`, over zero, with how the run
/// is by then. An empty one is answered by `answer_nothing_started`.
void submit_and_answer(const api_parts& parts, const std::string& pipeline, wanted_run&& wanted,
                       std::shared_ptr<const runtime::request_context> context,
                       runtime::duration wait, const std::shared_ptr<http::reply>& answer);

/// 202, with `why` as `reason`.
[[nodiscard]] http::response answer_nothing_started(std::string_view why);

/// What that answers, for the description of an operation.
[[nodiscard]] answer submitted_answer();

}  // namespace millrace::gateway
