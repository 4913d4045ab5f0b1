// SPDX-License-Identifier: MIT
#include "cli/service_manager.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>

namespace millrace::gateway::cli {
namespace {

using namespace std::chrono_literals;

constexpr runtime::steady_time start{};

runtime::storage_stats rows(std::uint64_t written, std::uint64_t backlog) {
  runtime::storage_stats made;
  made.group_commits = written;
  made.journal_backlog_bytes = backlog;
  return made;
}

TEST_CASE("the watchdog is fed twice in its time, by the process that it is for") {
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  SUBCASE("any") {
    CHECK(service_manager{}.watchdog_interval() == 1500ms);
    CHECK(std::getenv("WATCHDOG_USEC") == nullptr);  // children are not watched
    CHECK_FALSE(service_manager{}.watchdog_interval());
  }
  SUBCASE("this one") {
    ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    CHECK(service_manager{}.watchdog_interval() == 1500ms);
  }
  SUBCASE("another one") {
    ::setenv("WATCHDOG_PID", std::to_string(::getppid()).c_str(), 1);
    CHECK_FALSE(service_manager{}.watchdog_interval());
  }
  SUBCASE("no number") {
    ::setenv("WATCHDOG_USEC", "3 s", 1);
    CHECK_FALSE(service_manager{}.watchdog_interval());
  }
}

TEST_CASE("commits wait while none is written, and no longer") {
  commit_watch watch;
  CHECK(watch.waiting(rows(7, 0), start) == 0s);
  CHECK(watch.waiting(rows(7, 100), start + 10s) == 0s);  // may have come this moment
  CHECK(watch.waiting(rows(7, 200), start + 14s) == 4s);
  CHECK(watch.waiting(rows(8, 200), start + 18s) == 0s);  // one was written
  CHECK(watch.waiting(rows(8, 200), start + 25s) == 7s);
  CHECK(watch.waiting(rows(9, 0), start + 30s) == 0s);
  CHECK(watch.waiting(rows(9, 0), start + 60s) == 0s);  // nothing waits
  CHECK(watch.waiting(rows(9, 1), start + 70s) == 0s);
}

}  // namespace
}  // namespace millrace::gateway::cli
