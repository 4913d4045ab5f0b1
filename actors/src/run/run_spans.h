// SPDX-License-Identifier: MIT
// Run spans: what a run, an attempt and its command look like in a trace.
//
//     who submitted -> run -> attempt -> command
//
// A run and its tasks outlive processes, so nothing of their spans is kept in one: where a span
// begins is in their rows, and its id follows from its trace and its name. Whoever ends it tells of
// it. Names of attributes are those of OpenTelemetry's conventions (cicd, process), else ours.
#pragma once

#include <string>
#include <string_view>

#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/trace.h"

namespace millrace::actors {

/// A place without a span: a trace begins there.
[[nodiscard]] runtime::trace_context place_of(schemas::TracePlace::Reader stored);
void store_place(const runtime::trace_context& place, schemas::TracePlace::Builder into);

/// The trace of a run that nobody's trace asked for: it has the run's id, which is as long and as
/// random. Nothing of an id that is none.
[[nodiscard]] runtime::trace_id trace_of_run(std::string_view run);

/// Where the run's span is, of a place that it was submitted from. A run has one for each time that
/// it was begun: `began_at` tells them apart.
[[nodiscard]] runtime::trace_context run_place(const runtime::trace_context& submitted,
                                               std::string_view run, std::int64_t began_at);
/// Of an attempt, by its token, in a run at that place.
[[nodiscard]] runtime::trace_context attempt_place(const runtime::trace_context& run,
                                                   std::string_view token);

/// What is told of a run that has ended.
struct ended_run {
  std::string key;
  schemas::RunStored::Reader root;
  std::int64_t began_at = 0;
};
[[nodiscard]] runtime::span span_of(const ended_run& run, const runtime::trace_context& submitted);

/// What is told of an attempt that has ended: from when it came to wait for a slot; its start is an
/// event in it.
struct ended_attempt {
  std::string token;
  schemas::TaskSpec::Reader spec;
  schemas::Attempt::Reader row;
};
[[nodiscard]] runtime::span span_of(const ended_attempt& attempt);

/// What is told of the command of an attempt, by the executor that ran it.
[[nodiscard]] runtime::span span_of_command(schemas::AttemptSpec::Reader attempt,
                                            schemas::AttemptReport::Reader report);

}  // namespace millrace::actors
