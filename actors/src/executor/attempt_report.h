// SPDX-License-Identifier: MIT
// Attempt report: what a task is told of how its attempt ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "artifact/artifact_collection.h"
#include "millrace/actors/process.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/message.h"

namespace millrace::actors {

using attempt_report = runtime::message<schemas::AttemptReport>;

/// Of the process of an attempt, which has ended. `disk_full`: the text for an end of that kind.
/// Outputs that cannot be read make it an end of their own after exit code 0, and are told as text
/// after others, of which the task knows whether they are a success.
[[nodiscard]] attempt_report report_of(const process_exit& ended,
                                       schemas::AttemptSpec::Reader attempt,
                                       const std::string& disk_full);

/// Of what an earlier life left: how it ended where that is on record, else that it is lost.
[[nodiscard]] attempt_report report_of(const recovered_attempt& left, std::uint32_t number,
                                       runtime::wall_time now, const std::string& disk_full);

/// Adds the standard output of one that has exited, as the output that it may be for its task: less
/// its last line end, or why it cannot be one. `log` is what was kept of it.
void add_stdout(attempt_report& to, const runtime::result<log_file>& log);

/// Adds the artifacts that were kept of one that has succeeded. Where they were not, that is its
/// end: the command's fault, or the disk's, or that nobody wants it any more.
void set_artifacts(attempt_report& to, const runtime::result<std::vector<kept_artifact>>& kept);

/// Of an attempt that never ran, and `why` where there is something to say.
[[nodiscard]] attempt_report unstarted_report(std::uint32_t number, schemas::AttemptEnd end,
                                              std::string_view why, runtime::wall_time now);

}  // namespace millrace::actors
