// SPDX-License-Identifier: MIT
// The command line `millrace`.
//
// Data goes to standard output, everything else to standard error.
#pragma once

#include <string>
#include <vector>

namespace millrace::gateway::cli {

/// What a command answers to the shell.
enum class exit_code : int {
  ok = 0,
  run_failed = 1,
  usage = 2,  ///< Or a definition with mistakes.
  cancelled = 3,
  unauthenticated = 4,
  not_found = 5,
  conflict = 6,
  unreachable = 7,
  wait_timed_out = 8,
  output_failed = 74,  ///< `EX_IOERR` of sysexits.h.
  expelled = 75,       ///< `EX_TEMPFAIL`: the others went on without this silo; start it again.
  interrupted = 130,
  reader_left = 141,  ///< As a shell says it of a program that SIGPIPE ended.
};

/// Runs the command that `arguments` (without the program's name) name. What succeeds otherwise is
/// `output_failed` when what it printed could not be written, and quietly `reader_left` when nobody
/// wanted the rest of it.
[[nodiscard]] exit_code run(const std::vector<std::string>& arguments);

}  // namespace millrace::gateway::cli
