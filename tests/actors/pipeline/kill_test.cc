// SPDX-License-Identifier: MIT
// The process that runs a pipeline is killed again and again; the run must not notice.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <vector>

#include "actors/pipeline/fixture.h"

namespace millrace::actors {
namespace {

namespace fs = std::filesystem;
using runtime::ref;
using schemas::AttemptEnd;
using schemas::RunState;
using schemas::TaskState;

constexpr const char* folder_variable = "MILLRACE_KILL_TEST_FOLDER";
constexpr const char* seeds_variable = "MILLRACE_KILL_TEST_SEEDS";  // how many, for long campaigns
constexpr unsigned slots = 4;
constexpr unsigned width = 60;

// Each command leaves a line when it begins and one when it is about to end.
const std::string definition_text = R"yaml(name: survivor
tasks:
  - {name: first, run: "echo first $MILLRACE_ATTEMPT >> begun; echo n=1 >> $MILLRACE_OUTPUT"}
  - name: each
    needs: [first]
    matrix: {n: [)yaml" + [] {
  std::string numbers = "0";
  for (unsigned at = 1; at < width; ++at) {
    numbers += "," + std::to_string(at);
  }
  return numbers;
}() + R"yaml(]}
    run: |
      echo each $MILLRACE_INDEX $MILLRACE_ATTEMPT >> begun; sleep 0.01; echo $MILLRACE_INDEX >> done
  - {name: last, needs: [each], run: "sort -un done | wc -l > count"}
)yaml";

// The process that is killed: submits the run, or goes on with it, and exits when it has ended.
TEST_CASE("the silo of the kill test" * doctest::skip()) {
  const auto* folder = std::getenv(folder_variable);
  REQUIRE(folder != nullptr);
  const fs::path data{folder};
  fs::create_directories(data / "data");
  node here{data / "data"};
  std::string run;
  if (std::ifstream known{data / "run"}; !(known >> run)) {
    run = here.submit(definition_text);
    std::ofstream{data / "run.new"} << run << '\n';
    fs::rename(data / "run.new", data / "run");
  }
  CHECK(here.wait(run) == RunState::SUCCEEDED);
}

std::string output_of(const fs::path& data) {
  std::ifstream output{data / "output"};
  return {std::istreambuf_iterator<char>{output}, {}};
}

pid_t spawn_silo(const fs::path& data) {
  std::string variable = std::string{folder_variable} + "=" + data.string();
  std::string words[] = {"silo", "--no-skip", "-m", "-tc=the silo of the kill test"};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
  char* environment[] = {variable.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, (data / "output").c_str(),
                                   O_CREAT | O_WRONLY | O_APPEND, 0600);
  pid_t child = -1;
  REQUIRE(posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv, environment) == 0);
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

// Whether it ended by itself within `limit`, and well; it is killed otherwise.
bool ends_within(const fs::path& data, std::chrono::milliseconds limit) {
  const auto child = spawn_silo(data);
  pollfd ended{static_cast<int>(::syscall(SYS_pidfd_open, child, 0)), POLLIN, 0};
  REQUIRE(ended.fd >= 0);
  const auto in_time = ::poll(&ended, 1, static_cast<int>(limit.count())) == 1;
  if (!in_time) {
    ::kill(child, SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  ::close(ended.fd);
  if (in_time) {
    CHECK(WIFEXITED(status));
    CHECK_MESSAGE(WEXITSTATUS(status) == 0, output_of(data));
  }
  return in_time;
}

// Goal: a killed silo loses no task and repeats none whose end it had stored.
// Method: kill it at random instants until the run has ended; each kill may cost the attempts that
// ran, at most one a slot, and what had been granted ahead, which never began. Every other attempt
// must be the only one of its task.
TEST_CASE("a run survives kill -9 of its silo at any moment") {
  const auto* asked = std::getenv(seeds_variable);
  const auto seeds = asked != nullptr ? std::strtoul(asked, nullptr, 10) : 2;
  for (std::uint32_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    temporary_folder data;
    std::mt19937 random{seed};
    unsigned kills = 0;
    while (!ends_within(data.path,
                        std::chrono::milliseconds{kills < 12 ? 10 + random() % 120 : 60'000})) {
      ++kills;
    }
    INFO(output_of(data.path));
    CHECK(kills > 0);
    std::string run;
    std::ifstream{data.path / "run"} >> run;

    node here{data.path / "data"};
    std::ifstream counted{here.host->workspace_of(run) / "count"};
    unsigned count = 0;
    counted >> count;
    CHECK(count == width);
    std::size_t attempts = 0;
    std::size_t lost = 0;
    std::vector<std::string> dropped;
    for (unsigned at = 0; at < width; ++at) {
      const auto name = "each[" + std::to_string(at) + "]";
      CHECK(here.task(run, name).task().getState() == TaskState::SUCCEEDED);
      const auto detail = here.silo->call(ref<schemas::Task>(run + "/" + name).describe());
      REQUIRE(detail);
      unsigned ended_well = 0;
      for (auto each : detail->attempts()) {
        ended_well += each.getEnd() == AttemptEnd::EXITED ? 1 : 0;
        CHECK((each.getEnd() != AttemptEnd::EXITED || each.getExecutor().size() > 0));
        lost += each.getEnd() == AttemptEnd::LOST ? 1 : 0;
        if (each.getEnd() == AttemptEnd::DROPPED) {
          dropped.push_back("each " + std::to_string(at) + " " + std::to_string(each.getNumber()));
        }
      }
      CHECK(ended_well == 1);
      attempts += detail->attempts().size();
    }
    CHECK(attempts == width + lost + dropped.size());
    CHECK(dropped.empty());  // what had not started waits for its slot, as the same attempt
    CHECK(lost <= kills * slots);
    std::map<std::string, unsigned> begun;
    std::ifstream lines{here.host->workspace_of(run) / "begun"};
    for (std::string line; std::getline(lines, line);) {
      CHECK_MESSAGE(++begun[line] == 1, line);
    }
    for (const auto& line : dropped) {
      CHECK_MESSAGE(!begun.contains(line), line);
    }
    MESSAGE("kills=", kills, " lost=", lost, " dropped=", dropped.size(), " of ", width);
  }
}

}  // namespace
}  // namespace millrace::actors
