// SPDX-License-Identifier: MIT
#include "coordination/process_identity.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace millrace::runtime {
namespace {

using namespace std::chrono_literals;

// A process that does nothing until it is killed.
struct idle_process {
  idle_process() {
    if (pid = ::fork(); pid == 0) {
      for (;;) {
        ::pause();
      }
    }
    identity = *this_process();
    identity.pid = pid;
    identity.start_ticks = *start_ticks_of(pid);
  }
  idle_process(const idle_process&) = delete;
  idle_process& operator=(const idle_process&) = delete;
  ~idle_process() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  pid_t pid = -1;
  process_identity identity;
};

TEST_CASE("this process is found by its pid and its start") {
  const auto self = this_process();
  REQUIRE(self);
  CHECK(self->pid == ::getpid());
  CHECK(self->boot_id.size() == 36);
  CHECK(share_pids(*self, *self));
  const auto handle = process_handle::open(self->pid, self->start_ticks);
  REQUIRE(handle);
  REQUIRE(handle->has_value());
  CHECK_FALSE((*handle)->has_ended(0s));
}

TEST_CASE("a pid means nothing on another boot or in another namespace") {
  const auto self = *this_process();
  auto other = self;
  other.boot_id = "another";
  CHECK_FALSE(share_pids(self, other));
  other = self;
  ++other.pid_namespace;
  CHECK_FALSE(share_pids(self, other));
}

TEST_CASE("a process that has started at another time is a stranger, and is left alone") {
  idle_process idle;
  auto earlier = idle.identity;
  --earlier.start_ticks;
  const auto handle = process_handle::open(earlier.pid, earlier.start_ticks);
  REQUIRE(handle);
  CHECK_FALSE(handle->has_value());
  CHECK(end_process(earlier, *this_process(), 10s));
  CHECK(::kill(idle.pid, 0) == 0);
  CHECK(::waitpid(idle.pid, nullptr, WNOHANG) == 0);
}

TEST_CASE("a process is ended, even one that is stopped, and then its end is proven") {
  idle_process idle;
  ::kill(idle.pid, SIGSTOP);
  const auto handle = process_handle::open(idle.identity.pid, idle.identity.start_ticks);
  REQUIRE(handle);
  REQUIRE(handle->has_value());
  CHECK_FALSE((*handle)->has_ended(0s));
  CHECK(end_process(idle.identity, *this_process(), 10s));
  CHECK((*handle)->has_ended(0s));
  // Nobody has waited for it yet: its pid is still taken, and it has ended all the same.
  const auto again = process_handle::open(idle.identity.pid, idle.identity.start_ticks);
  REQUIRE(again);
  CHECK_FALSE(again->has_value());
}

TEST_CASE("a process elsewhere, and this one, are not ended") {
  const auto self = *this_process();
  auto elsewhere = self;
  elsewhere.boot_id = "another";
  const auto ended = end_process(elsewhere, self, 10s);
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code() == errc::failed_precondition);
  CHECK_FALSE(end_process(self, self, 10s));
}

}  // namespace
}  // namespace millrace::runtime
