// SPDX-License-Identifier: MIT
// Processes that leave the group of their attempt do not outlive it, however it ends.
//
// Method: each command starts one that leaves in a way of the table, prints its id and then ends or
// waits to be ended. Whoever hears of the end must find it dead already.
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "fixture.h"
#include "process/proc_stat.h"

namespace millrace::actors::testing {
namespace {

struct way {
  const char* name;
  const char* command;  // leaves `$!`, or prints the id itself
};

// The id is printed last, by a process that has left by then.
constexpr way ways[] = {
    {"setsid", "setsid sh -c 'printf \"%8d\" $$; exec sleep 1000' &"},
    {"double fork", "(setsid sh -c 'sh -c \"printf %8d \\$\\$; exec sleep 1000\" & exit' &);"},
    {"daemon",
     "env -i setsid /bin/sh -c 'printf \"%8d\" $$; exec <&- >&- 2>&-; exec sleep 1000' &"},
    {"deaf to TERM", "setsid sh -c 'trap \"\" TERM HUP; printf \"%8d\" $$; exec sleep 1000' &"},
    {"without mark",
     "bash -c 'ulimit -x unlimited 2> /dev/null; exec setsid sh -c \"printf %8d \\$\\$; exec "
     "sleep 1000\"' &"},
    {"nested",
     "bash -c 'ulimit -S -x 77 2> /dev/null || :; exec setsid sh -c \"printf %8d \\$\\$; exec "
     "sleep 1000\"' &"},
    {"with children",
     "setsid sh -c 'for each in 1 2 3 4 5; do setsid sleep 1000 & done; "
     "printf \"%8d\" $$; wait' &"},
};

// Nothing of ours is left but the guard, not even as a zombie. (`before`: orphans of the silos that
// other tests have killed; they may go meanwhile.)
void check_nothing_left(const fixture& f, std::set<pid_t> before) {
  before.insert(f.supervisor->stats().guard);
  for (const auto child : children_of_ours()) {
    CHECK(before.contains(child));
  }
}

}  // namespace

TEST_CASE("what has left the group ends with an attempt that succeeds") {
  for (const auto& each : ways) {
    const std::string name = each.name;
    CAPTURE(name);
    const auto before = children_of_ours();
    fixture f;
    const auto go = f.directory.path() / "go";
    REQUIRE(::mkfifo(go.c_str(), 0600) == 0);
    auto what = f.shell("a1", std::string{each.command} + " read line < go");
    what.environment.push_back("MILLRACE_TOKEN=a1");
    auto ended = f.start(what);
    const witness stray{f.printed_pid(what)};
    CHECK(stray.found());
    { std::ofstream{go} << "\n"; }
    CHECK(await(std::move(ended)).exit_code == 0);
    CHECK(stray.dies_within(0ms));
    check_nothing_left(f, before);
  }
}

TEST_CASE("what has left the group ends with an attempt that is cancelled or takes too long") {
  for (const auto& each : ways) {
    for (const auto cancelled : {true, false}) {
      const std::string name = each.name;
      CAPTURE(name);
      CAPTURE(cancelled);
      const auto before = children_of_ours();
      fixture f;
      auto what = f.shell("a1", std::string{each.command} + " wait; sleep 1000");
      what.environment.push_back("MILLRACE_TOKEN=a1");
      // Only who is deaf needs all of it; the others have it however busy the machine is.
      const auto is_deaf = name == "deaf to TERM";
      what.grace = is_deaf ? 200ms : 20s;
      if (!cancelled) {
        what.timeout = 1s;
      }
      auto ended = f.start(what);
      const witness stray{f.printed_pid(what)};
      if (cancelled) {
        REQUIRE(f.supervisor->cancel("a1"));
      }
      const auto report = await(std::move(ended));
      CHECK(report.outcome ==
            (cancelled ? process_outcome::cancelled : process_outcome::timed_out));
      CHECK(report.forced == is_deaf);
      CHECK(stray.dies_within(0ms));
      check_nothing_left(f, before);
    }
  }
}

TEST_CASE("what has left the group ends when the supervisor stops") {
  for (const auto& each : ways) {
    const std::string name = each.name;
    CAPTURE(name);
    fixture f;
    auto what = f.shell("a1", std::string{each.command} + " wait; sleep 1000");
    what.environment.push_back("MILLRACE_TOKEN=a1");
    what.grace = 200ms;
    auto ended = f.start(what);
    const witness stray{f.printed_pid(what)};
    f.supervisor->stop();
    CHECK(stray.dies_within(0ms));
    CHECK(await(std::move(ended)).outcome == process_outcome::cancelled);
  }
}

TEST_CASE("what has left the group may go on where that is allowed") {
  fixture f;
  pid_t pid = 0;
  {
    const auto go = f.directory.path() / "go";
    REQUIRE(::mkfifo(go.c_str(), 0600) == 0);
    auto what = f.shell(
        "a1", "setsid sh -c 'printf \"%8d\" $$; echo > go; exec sleep 1000' & read line < go");
    what.detach = detach_policy::allowed;
    const auto ended = f.run(what);
    CHECK(ended.exit_code == 0);
    pid = std::stoi(ended.standard_output.tail);
  }
  const witness stray{pid};
  CHECK(stray.found());
  CHECK_FALSE(stray.dies_within(0ms));
  // Its files are not given to another attempt.
  CHECK(f.run(f.shell("a2", "true")).exit_code == 0);
  f.supervisor.reset();
  CHECK_FALSE(stray.dies_within(0ms));
  REQUIRE(::kill(pid, SIGKILL) == 0);
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
}

TEST_CASE("the members of the group end with it also where leaving it is allowed") {
  fixture f;
  auto what = f.shell("a1", "sleep 1000 & printf '%8d' $!");
  what.detach = detach_policy::allowed;
  CHECK(witness{std::stoi(f.run(what).standard_output.tail)}.dies_within());
}

TEST_CASE("children of other programs in this process are left alone") {
  fixture f;
  const auto other = ::fork();
  if (other == 0) {
    ::pause();
    ::_exit(0);
  }
  CHECK(f.run(f.shell("a1", "setsid sleep 1000 & exit 0")).exit_code == 0);
  const witness left{other};
  CHECK_FALSE(left.dies_within(0ms));
  REQUIRE(::kill(other, SIGKILL) == 0);
  REQUIRE(::waitpid(other, nullptr, 0) == other);
}

TEST_CASE("the token of a process is read from its environment, wherever it stands") {
  fixture f;
  process_detail::token_buffer buffer;
  auto what = f.spec("a1", {"sleep", "1000"});
  what.environment.push_back("LONG=" + std::string(9000, 'x') + "MILLRACE_TOKEN=not");
  what.environment.push_back("MILLRACE_TOKEN=" + std::string(128, 't'));
  auto ended = f.start(what);
  const auto is_found = [&] {
    const auto children = children_of_ours();
    return std::any_of(children.begin(), children.end(), [&](pid_t pid) {
      return process_detail::token_of_process(pid, buffer) == std::string(128, 't');
    });
  };
  // The kernel lets go of who starts a program a little before it shows the environment.
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (!is_found() && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  CHECK(is_found());
  REQUIRE(f.supervisor->cancel("a1"));
  CHECK(await(std::move(ended)).signal == SIGTERM);
}

}  // namespace millrace::actors::testing
