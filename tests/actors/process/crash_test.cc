// SPDX-License-Identifier: MIT
// What is left of running attempts when the silo is killed, and what the next life makes of it.
//
// Method: this program starts itself as a second process ("silo") that runs one test case of this
// file, tells the ids of its command through a pipe and waits to be killed with SIGKILL.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "fixture.h"

namespace millrace::actors::testing {
namespace {

struct crash_report {
  pid_t leader;
  pid_t member;
  pid_t guard;
  pid_t stray;  // a daemon: own session, no files, no environment
};

// The silo's process: alive until `kill`.
struct silo {
  pid_t pid = 0;
  crash_report told{};

  explicit silo(const std::filesystem::path& directory) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const unique_fd reading{ends[0]};
    {
      const unique_fd writing{ends[1]};
      posix_spawn_file_actions_t actions;
      posix_spawn_file_actions_init(&actions);
      posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);  // any inherited number
      const auto where = "MILLRACE_TEST_CRASH=" + directory.string();
      const auto own_files = "TMPDIR=" + directory.string();  // which it will not remove
      std::array argv{"silo", "--no-skip", "--test-case=silo that is killed",
                      static_cast<const char*>(nullptr)};
      std::array environment{where.c_str(), own_files.c_str(), "PATH=/usr/bin:/bin",
                             static_cast<const char*>(nullptr)};
      REQUIRE(::posix_spawn(&pid, "/proc/self/exe", &actions, nullptr,
                            const_cast<char**>(argv.data()),
                            const_cast<char**>(environment.data())) == 0);
      posix_spawn_file_actions_destroy(&actions);
    }
    pollfd waiting{.fd = reading.get(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&waiting, 1, 60'000) == 1);
    REQUIRE(::read(reading.get(), &told, sizeof told) == sizeof told);
  }

  void kill() {
    ::kill(pid, SIGKILL);
    REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  }
};

}  // namespace

TEST_CASE("silo that is killed" * doctest::skip()) {
  const auto* directory = std::getenv("MILLRACE_TEST_CRASH");
  if (directory == nullptr) {
    return;
  }
  const runtime::system_clock clock;
  const fixture f;  // for its way to wait; the supervisor under test is the next one
  auto opened = process_supervisor::open(
      {.state_directory = std::filesystem::path{directory} / "state"}, clock);
  REQUIRE(opened);
  auto& supervisor = **opened;

  std::promise<process_exit> done;
  auto what = f.shell("done", "exit 4");
  REQUIRE(supervisor.start(what, [&](process_exit report) { done.set_value(std::move(report)); }));
  static_cast<void>(await(done.get_future()));

  what = f.shell("long",
                 "trap '' TERM HUP; sleep 1000 & member=$!; "
                 "env -i setsid /bin/sh -c 'exec <&- >&- 2>&-; exec sleep 1000' & "
                 "printf '%8d%8d%8d' $$ $member $!; wait");
  REQUIRE(supervisor.start(what, [](process_exit) {}));
  std::promise<void> printed;
  REQUIRE(supervisor.watch_log("long", output_stream::standard_output, 23,
                               [&](log_event) { printed.set_value(); }));
  await(printed.get_future());
  const auto log = supervisor.open_log("long", output_stream::standard_output);
  REQUIRE(log);
  const auto chunk = log->read(0, 24);
  REQUIRE(chunk);
  const crash_report told{std::stoi(chunk->bytes.substr(0, 8)),
                          std::stoi(chunk->bytes.substr(8, 8)), supervisor.stats().guard,
                          std::stoi(chunk->bytes.substr(16))};
  REQUIRE(::write(STDIN_FILENO, &told, sizeof told) == sizeof told);
  ::pause();
}

TEST_CASE("the guard kills the group of a silo that was killed") {
  const scratch_directory directory;
  silo crashed{directory.path()};
  const witness leader{crashed.told.leader};
  const witness member{crashed.told.member};
  const witness guard{crashed.told.guard};
  const witness stray{crashed.told.stray};
  REQUIRE(stray.found());
  REQUIRE(leader.found());
  REQUIRE(member.found());
  CHECK_FALSE(leader.dies_within(0ms));
  crashed.kill();
  CHECK(leader.dies_within());
  CHECK(member.dies_within());
  CHECK(guard.dies_within());
  CHECK(stray.dies_within(0ms));  // before the guard, which ends last
}

TEST_CASE("a new life fences what a killed silo with a killed guard left running") {
  const scratch_directory directory;
  const runtime::system_clock clock;
  silo crashed{directory.path()};
  const witness leader{crashed.told.leader};
  const witness member{crashed.told.member};
  const witness guard{crashed.told.guard};
  const witness stray{crashed.told.stray};
  REQUIRE(::kill(crashed.told.guard, SIGKILL) == 0);
  REQUIRE(guard.dies_within());
  const process_options options{.state_directory = directory.path() / "state"};

  // A living silo keeps its directory.
  const auto refused = process_supervisor::open(options, clock);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::conflict);

  crashed.kill();
  CHECK_FALSE(leader.dies_within(0ms));
  {
    const auto next = process_supervisor::open(options, clock);
    REQUIRE(next);
    CHECK(leader.dies_within(0ms));
    CHECK(member.dies_within(0ms));
    CHECK(stray.dies_within(0ms));
    const auto& found = (*next)->recovered();
    REQUIRE(found.size() == 2);
    CHECK(found[0].token == "done");
    CHECK(found[0].found == recovered_attempt::state::ended);
    CHECK(found[0].exit_code == 4);
    CHECK(found[1].token == "long");
    CHECK(found[1].found == recovered_attempt::state::fenced);
    REQUIRE((*next)->acknowledge("done"));
  }
  // Fencing happened, but nobody has acknowledged it: it is told again.
  const auto third = process_supervisor::open(options, clock);
  REQUIRE(third);
  REQUIRE((*third)->recovered().size() == 1);
  CHECK((*third)->recovered()[0].token == "long");
  CHECK((*third)->recovered()[0].found == recovered_attempt::state::gone);
  CHECK((*third)->cancel("long").error().code() == errc::failed_precondition);
  REQUIRE((*third)->acknowledge("long"));
}

// Goal: a leader that is gone does not hide the members of its group.
TEST_CASE("a new life fences the members of a group whose leader is dead") {
  const scratch_directory directory;
  const runtime::system_clock clock;
  silo crashed{directory.path()};
  const witness leader{crashed.told.leader};
  const witness member{crashed.told.member};
  REQUIRE(::kill(crashed.told.guard, SIGKILL) == 0);
  REQUIRE(::kill(crashed.pid, SIGSTOP) == 0);  // it must not tidy up after its leader
  REQUIRE(::waitpid(crashed.pid, nullptr, WUNTRACED) == crashed.pid);
  REQUIRE(::kill(crashed.told.leader, SIGKILL) == 0);
  REQUIRE(leader.dies_within());
  crashed.kill();
  CHECK_FALSE(member.dies_within(0ms));
  const auto next =
      process_supervisor::open({.state_directory = directory.path() / "state"}, clock);
  REQUIRE_MESSAGE(next, next.error().to_string());
  CHECK(member.dies_within(0ms));
  REQUIRE((*next)->recovered().size() == 2);
  CHECK((*next)->recovered()[1].found == recovered_attempt::state::fenced);
}

TEST_CASE("a file that is not an attempt table is set aside with a line") {
  const scratch_directory directory;
  const runtime::system_clock clock;
  const auto table = directory.path() / "attempts";
  { std::ofstream{table} << std::string(4096, 'x'); }
  std::vector<std::string> warned;
  const auto opened = process_supervisor::open(
      {.state_directory = directory.path(),
       .warn = [&warned](std::string_view line) { warned.emplace_back(line); }},
      clock);
  REQUIRE(opened);
  REQUIRE(warned.size() == 1);
  CHECK(warned[0].starts_with("the attempt table was set aside: "));
  CHECK(warned[0].find(" file=" + table.string() + " ") != std::string::npos);
  CHECK(std::filesystem::file_size(table.string() + ".damaged") == 4096);
}

// Method: as above, and the table is gone too. Only directories tell which attempts there were.
TEST_CASE("a new life without a table fences what a killed silo with a killed guard left") {
  const scratch_directory directory;
  const runtime::system_clock clock;
  silo crashed{directory.path()};
  const witness leader{crashed.told.leader};
  const witness member{crashed.told.member};
  const witness guard{crashed.told.guard};
  const witness stray{crashed.told.stray};
  REQUIRE(::kill(crashed.told.guard, SIGKILL) == 0);
  REQUIRE(guard.dies_within());
  crashed.kill();
  std::filesystem::resize_file(directory.path() / "state/attempts", 0);
  CHECK_FALSE(leader.dies_within(0ms));
  const auto next =
      process_supervisor::open({.state_directory = directory.path() / "state"}, clock);
  REQUIRE_MESSAGE(next, next.error().to_string());
  CHECK(leader.dies_within(0ms));
  CHECK(member.dies_within(0ms));
  CHECK(stray.dies_within(0ms));
  CHECK((*next)->recovered().empty());
}

TEST_CASE("a killed guard is noticed and starts go on") {
  fixture f;
  const auto guard = f.supervisor->stats().guard;
  const witness watched{guard};
  REQUIRE(::kill(guard, SIGKILL) == 0);
  REQUIRE(watched.dies_within());
  // The event of the guard is older than the exit that follows it.
  CHECK(f.run(f.shell("a1", "exit 0")).exit_code == 0);
  CHECK(f.supervisor->stats().guard == 0);
}

}  // namespace millrace::actors::testing
