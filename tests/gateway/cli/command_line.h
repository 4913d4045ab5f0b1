// SPDX-License-Identifier: MIT
// The command line in this process, against servers that answer as a test likes.
#pragma once

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "gateway/http/wire.h"

namespace millrace::gateway::cli {

/// What a command that has ended left.
struct outcome {
  exit_code code;
  std::string output;
  std::string errors;
};

/// Runs a command with what it prints caught. Threading: one at a time.
inline outcome command_line(const std::vector<std::string>& words) {
  std::stringstream output;
  std::stringstream errors;
  auto* const real_output = std::cout.rdbuf(output.rdbuf());
  auto* const real_errors = std::cerr.rdbuf(errors.rdbuf());
  const auto code = run(words);
  std::cout.rdbuf(real_output);
  std::cerr.rdbuf(real_errors);
  return {code, output.str(), errors.str()};
}

/// The same, against a server.
inline outcome command_line(const http::running& on, std::vector<std::string> words) {
  words.insert(words.end(), {"--server", "http://127.0.0.1:" + std::to_string(on.port)});
  return command_line(words);
}

}  // namespace millrace::gateway::cli
