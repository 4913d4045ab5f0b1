// SPDX-License-Identifier: MIT
#include "cli/stop_limit.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>

#include "cli/command.h"

namespace millrace::gateway::cli {
namespace {

using namespace std::chrono_literals;

// How a process ends that takes for ever to stop, or no time, and what it says.
std::pair<int, std::string> ended(
    std::chrono::milliseconds limit, bool hangs,
    std::function<bool()> begins = [] { return true; }) {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  const auto child = ::fork();
  if (child == 0) {
    ::dup2(told[1], 2);
    ::close(told[0]);
    ::close(told[1]);
    {
      const stop_limit limited{limit, exit_code::interrupted,
                               [] { static_cast<void>(::write(2, "+", 1) == 1); },
                               std::move(begins)};
      while (hangs) {
        ::pause();
      }
    }
    ::_exit(0);
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

}  // namespace

TEST_CASE("a server that does not stop ends when its time is up, with a line") {
  const auto [status, said] = ended(1s, true);
  CHECK(status == static_cast<int>(exit_code::interrupted));
  CHECK(said ==
        "+millrace: not stopped within 1 s, ending now; the next start goes on as after a crash\n");
}

// Method: it is told when it has asked for the third time, and says each time that it asks.
TEST_CASE("its time counts from when it is told to stop") {
  const auto begins = [asked = 0]() mutable {
    static_cast<void>(::write(2, "?", 1) == 1);
    return ++asked == 3;
  };
  CHECK(ended(1ms, true, begins).second ==
        "???+millrace: not stopped within 0 s, ending now; the next start goes on as after a "
        "crash\n");
}

TEST_CASE("one that stops in time is left alone") {
  const auto [status, said] = ended(1h, false);
  CHECK(status == 0);
  CHECK(said.empty());
}

}  // namespace millrace::gateway::cli
