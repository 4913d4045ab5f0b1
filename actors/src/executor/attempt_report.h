// SPDX-License-Identifier: MIT
// Attempt report: what a task is told of how its attempt ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/artifact_collection.h"
#include "millrace/actors/process.h"
#include "millrace/pipeline.capnp.h"
#include "millrace/runtime/message.h"

namespace millrace::actors {

using attempt_report = runtime::message<schemas::AttemptReport>;

/// An output that is too large for a row, to be kept beside the artifacts.
struct large_output {
  std::optional<unsigned> at;  ///< In the outputs of the report; nothing: standard output.
  std::string text;
};

/// Of the process of an attempt, which has ended. `disk_full`: the text for an end of that kind.
/// Outputs that cannot be read make it an end of their own after exit code 0, and are told as text
/// after others, of which the task knows whether they are a success. `large` gets those that its
/// task lets be kept, of one that has succeeded.
[[nodiscard]] attempt_report report_of(const process_exit& ended,
                                       schemas::AttemptSpec::Reader attempt,
                                       const std::string& disk_full,
                                       std::vector<large_output>& large);

/// Of what an earlier life left: how it ended where that is on record, else that it is lost.
[[nodiscard]] attempt_report report_of(const recovered_attempt& left, std::uint32_t number,
                                       runtime::wall_time now, const std::string& disk_full);

/// Adds the standard output of one that has exited, as the output that it may be for its task: less
/// its last line end, or why it cannot be one. `log` is what was kept of it.
void add_stdout(attempt_report& to, const runtime::result<log_file>& log);
/// The same of one whose task wants it; `large` as of `report_of`.
void add_stdout(attempt_report& to, const runtime::result<log_file>& log,
                schemas::AttemptSpec::Reader attempt, std::vector<large_output>& large);

/// Adds where its large outputs are kept, in their order. Where they could not be, that is its end.
void set_kept(attempt_report& to, const std::vector<large_output>& large,
              const runtime::result<std::vector<std::string>>& digests);

/// Adds the artifacts that were kept of one that has succeeded. Where they were not, that is its
/// end: the command's fault, or the disk's, or that nobody wants it any more.
void set_artifacts(attempt_report& to, const runtime::result<std::vector<kept_artifact>>& kept);

/// Of an attempt that never ran, and `why` where there is something to say.
[[nodiscard]] attempt_report unstarted_report(std::uint32_t number, schemas::AttemptEnd end,
                                              std::string_view why, runtime::wall_time now);

}  // namespace millrace::actors
