// SPDX-License-Identifier: MIT
#include <csignal>
#include <exception>
#include <iostream>

#include "cli/cli.h"

int main(int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);  // `millrace list | head` ends by the failed write
  try {
    return static_cast<int>(
        millrace::gateway::cli::run(std::vector<std::string>(arguments + 1, arguments + count)));
  } catch (const std::exception& unforeseen) {
    std::cerr << "millrace: unexpected error: " << unforeseen.what() << '\n';
    return static_cast<int>(millrace::gateway::cli::exit_code::run_failed);
  }
}
