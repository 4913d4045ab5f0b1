// SPDX-License-Identifier: MIT
#include <csignal>

#include "cli/cli.h"

int main(int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);  // `millrace list | head` ends by the failed write
  return static_cast<int>(
      millrace::gateway::cli::run(std::vector<std::string>(arguments + 1, arguments + count)));
}
