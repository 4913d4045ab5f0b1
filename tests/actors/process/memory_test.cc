// SPDX-License-Identifier: MIT
// How much memory attempts take, and what becomes of those that take more than they may.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>
#include <cstring>
#include <string>

#include "actors/process/fixture.h"
#include "process/memory_use.h"

namespace millrace::actors::testing {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20U;

// Holds so much until it is killed: `tail` keeps what it reads until there is no more to come.
std::string holding(int mebibytes) {
  const auto size = std::to_string(mebibytes) + "M";
  return "{ head -c " + size + " /dev/zero; sleep 1000; } | tail -c " + size;
}

TEST_CASE("a command that takes more memory than it may is ended, and all that it has started") {
  fixture f;
  auto greedy = f.shell("a1", "trap '' TERM; sleep 1000 & printf '%8d' $!; " + holding(200));
  greedy.memory_limit = 64 * mebibyte;
  greedy.grace = 1000s;
  auto ended = f.start(greedy);
  const witness other{f.printed_pid(greedy)};
  const auto report = await(std::move(ended));
  CHECK(report.outcome == process_outcome::memory_limit);
  CHECK(report.signal == SIGKILL);
  CHECK(report.max_memory.value_or(0) > greedy.memory_limit);
  CHECK_FALSE(report.forced);
  CHECK(other.dies_within());
}

TEST_CASE("memory is that of all processes together, of those that have left the group too") {
  fixture f;
  for (const auto* start : {"( ", "setsid sh -c '"}) {
    CAPTURE(start);
    const auto* end = start[0] == '(' ? ")" : "'";
    std::string script;
    for (int each = 0; each < 3; ++each) {
      script += start + holding(40) + end + std::string{" & "};
    }
    auto several = f.shell("a" + std::to_string(start[0]), script + "wait");
    several.memory_limit = 100 * mebibyte;
    const auto report = f.run(several);
    CHECK(report.outcome == process_outcome::memory_limit);
    CHECK(report.max_memory.value_or(0) > several.memory_limit);
  }
}

TEST_CASE("a command within its limit ends by itself, and says what it had") {
  fixture f;
  auto modest = f.shell("a1",
                        "{ head -c 60M /dev/zero; sleep 0.8; } | tail -c 60M | wc -c; "
                        "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");
  modest.memory_limit = 200 * mebibyte;
  const auto report = f.run(modest);
  CHECK(report.outcome == process_outcome::exited);
  CHECK(report.standard_output.tail == "62914560\n");
  CHECK(report.max_memory.value_or(0) >= 60 * mebibyte);
  CHECK(report.max_memory.value_or(0) < modest.memory_limit);
  CHECK(report.user_time > 0ms);
}

// Of five processes with 100 MiB that none of them changes, and some of their own.
TEST_CASE("memory that processes share counts once") {
  fixture f;
  auto sharing = f.spec("a1", {"perl", "-e",
                               "$x = 'a'; $x x= 100 << 20; for (1..4) { fork or do { $y = 'b'; $y "
                               "x= 2 << 20; sleep 1; exit } } wait for 1..4; print length $x"});
  sharing.memory_limit = 350 * mebibyte;
  const auto report = f.run(sharing);
  CHECK(report.outcome == process_outcome::exited);
  CHECK(report.standard_output.tail == "104857600");
  CHECK(report.max_memory.value_or(0) < sharing.memory_limit);
}

// Copies that are as large as the first to the page, those that change all of it and those that
// change nothing.
TEST_CASE("what processes have after a fork counts") {
  fixture f;
  const auto forked = [&](const std::string& token, const std::string& in_child,
                          std::uint64_t limit) {
    auto spec = f.spec(token, {"perl", "-e",
                               "$x = 'a'; $x x= 100 << 20; for (1..4) { fork or do { " + in_child +
                                   " sleep 1000 } } sleep 1000"});
    spec.memory_limit = limit;
    return f.run(spec).outcome;
  };
  CHECK(forked("a1", "vec($x, $_ << 12, 8) = 1 for 0 .. (100 << 8) - 1;", 350 * mebibyte) ==
        process_outcome::memory_limit);
  CHECK(forked("a2", "", 80 * mebibyte) == process_outcome::memory_limit);
}

TEST_CASE("a command that is told to end has no more memory than before") {
  fixture f;
  auto stubborn =
      f.shell("a1", "trap '" + holding(200) + "' TERM; sleep 1000 & printf '%8d' $!; wait");
  stubborn.memory_limit = 64 * mebibyte;
  stubborn.grace = 1000s;
  auto ended = f.start(stubborn);
  static_cast<void>(f.printed_pid(stubborn));
  REQUIRE(f.supervisor->cancel("a1"));
  const auto report = await(std::move(ended));
  CHECK(report.outcome == process_outcome::cancelled);
  CHECK(report.forced);
}

// A process between vfork and exec has all that its parent has.
TEST_CASE("memory of a process that is starting another one counts once") {
  constexpr std::size_t held = 128 * mebibyte;
  int told[2];
  int kept[2];
  REQUIRE(::pipe(told) == 0);
  REQUIRE(::pipe(kept) == 0);
  const auto parent = ::fork();
  REQUIRE(parent >= 0);
  if (parent == 0) {
    ::setpgid(0, 0);
    auto* memory =
        ::mmap(nullptr, held, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memset(memory, 1, held);
    if (::vfork() == 0) {
      char byte = 1;
      static_cast<void>(::write(told[1], &byte, 1));
      ::close(kept[1]);
      static_cast<void>(::read(kept[0], &byte, 1));
      ::_exit(0);
    }
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(told[0], &byte, 1) == 1);
  const auto look = [parent](process_detail::memory_use use) {
    use.group = parent;
    std::array uses{std::move(use)};
    process_detail::measure_memory(uses);
    return uses[0];
  };
  const auto first = look({.limit = 1000 * mebibyte});
  CHECK(first.bytes.value_or(0) >= held);
  CHECK(first.bytes.value_or(0) < 2 * held);
  CHECK(first.known.size() == 2);
  CHECK_FALSE(first.is_settled);
  CHECK_FALSE(look({.limit = held / 2}).bytes);  // it may share all of it
  const auto exact = look({.limit = held / 2, .is_exact = true});
  CHECK(exact.bytes.value_or(0) >= held);
  CHECK(exact.bytes.value_or(0) < 2 * held);
  // What stays so large is a copy.
  const auto second = look({.limit = 1000 * mebibyte, .known = first.known});
  CHECK(second.bytes.value_or(0) >= 2 * held);
  CHECK(second.is_settled);
  ::kill(-parent, SIGKILL);
  REQUIRE(::waitpid(parent, nullptr, 0) == parent);
  for (const auto fd : {told[0], told[1], kept[0], kept[1]}) {
    ::close(fd);
  }
}

}  // namespace
}  // namespace millrace::actors::testing
