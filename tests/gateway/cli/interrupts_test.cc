// SPDX-License-Identifier: MIT
// Ctrl-C: who is asked for the third time goes at once, and gives the terminal back before.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>

#include "cli/command.h"

namespace millrace::gateway::cli {
namespace {

// How a process ends that is interrupted so often and goes on in between, and what it writes.
std::pair<int, std::string> ended_after(int interruptions, void (*restore)()) {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  const auto child = ::fork();
  if (child == 0) {
    ::dup2(told[1], STDOUT_FILENO);
    ::close(told[0]);
    ::close(told[1]);
    watch_interrupts();
    before_forced_exit(restore);
    for (int each = 0; each < interruptions; ++each) {
      ::raise(SIGINT);
    }
    ::_exit(interrupts());
  }
  ::close(told[1]);
  std::string said;
  char part[256];
  for (auto count = ::read(told[0], part, sizeof part); count > 0;
       count = ::read(told[0], part, sizeof part)) {
    said.append(part, static_cast<std::size_t>(count));
  }
  ::close(told[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return {WEXITSTATUS(status), said};
}

void write_back() {
  static_cast<void>(::write(STDOUT_FILENO, "screen", 6) == 6);
}

}  // namespace

TEST_CASE("the third Ctrl-C ends a command at once, the screen is given back first") {
  CHECK(ended_after(2, write_back) == std::pair{2, std::string{}});
  const auto interrupted = static_cast<int>(exit_code::interrupted);
  CHECK(ended_after(3, write_back) == std::pair{interrupted, std::string{"screen"}});
  CHECK(ended_after(3, nullptr) == std::pair{interrupted, std::string{}});
}

}  // namespace millrace::gateway::cli
