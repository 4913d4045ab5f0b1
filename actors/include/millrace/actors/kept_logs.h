// SPDX-License-Identifier: MIT
// Kept logs: what attempts wrote, found by the files of a data directory alone, whether or not a
// process serves it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/actors/process_log.h"
#include "millrace/runtime/result.h"

namespace millrace::actors {

/// One stream of one attempt. What was empty when its attempt ended is not kept.
struct kept_log {
  std::string task;  ///< The instance, as a person types it: `count[3]`.
  std::uint32_t attempt = 0;
  output_stream stream = output_stream::standard_output;
  std::filesystem::path file;
};

/// Those of a run, by task and attempt; of one attempt the standard output comes first. None for a
/// run that is not there. Cost: blocks on the disk.
[[nodiscard]] std::vector<kept_log> kept_logs(const std::filesystem::path& data_directory,
                                              std::string_view run);

/// The ids of the runs that left something in a data directory, the newest first.
/// Cost: blocks on the disk.
[[nodiscard]] std::vector<std::string> kept_runs(const std::filesystem::path& data_directory);

/// Errors: `not_found` when it has gone meanwhile; `failed_precondition` for what is no log.
[[nodiscard]] runtime::result<log_file> open_kept(const kept_log& one);

}  // namespace millrace::actors
