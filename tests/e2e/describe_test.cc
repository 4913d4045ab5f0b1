// SPDX-License-Identifier: MIT
// Goal: `describe` tells how a pipeline, a run and a task are, why, and what to type next.
// Method: a server with a run that waits for a person, and has failed in part; the commands that
// are named are typed as they stand.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "e2e/process.h"
#include "folders.h"

namespace millrace::testing {
namespace {

constexpr const char* definition = R"(name: told
description: All sorts.
params: {day: {default: monday, description: Which one}}
schedule: [{name: nightly, cron: "0 3 * * *", timezone: UTC}]
tasks:
  - {name: gate, approval: "Really?"}
  - {name: after, description: The end., needs: [gate], run: echo done}
  - name: count
    for_each: [a, b]
    fail_fast: false
    run: echo said; echo "no $MILLRACE_ITEM" >&2; test "$MILLRACE_ITEM" = a
)";

void check_has(const std::string& text, const std::vector<std::string>& wanted) {
  for (const auto& each : wanted) {
    CAPTURE(each);
    CHECK_MESSAGE(text.find(each) != std::string::npos, text);
  }
}

// The commands below `Next:`, without the name of the program.
std::vector<std::string> next_in(const std::string& text) {
  std::vector<std::string> commands;
  constexpr std::string_view before = "\n  millrace ";
  for (auto at = text.find(before, text.find("\nNext:\n")); at != std::string::npos;
       at = text.find(before, at + 1)) {
    const auto from = at + before.size();
    commands.push_back(text.substr(from, text.find('\n', from) - from));
  }
  return commands;
}

int typed(const std::string& command) {
  return WEXITSTATUS(std::system((MILLRACE_PROGRAM " " + command + " >/dev/null 2>&1").c_str()));
}

TEST_CASE("describe tells how a pipeline, a run and a task are, why, and what to do next") {
  temporary_folder folder;
  const auto file = folder.path / "told.yaml";
  std::ofstream{file} << definition;
  server_process server{folder.path / "server"};
  ::setenv("MILLRACE_SERVER", server.url().c_str(), 1);
  REQUIRE(millrace({"apply", file.string()}).status == 0);
  auto run = millrace({"submit", "told"}).output;
  run.pop_back();
  background_command{{"watch", run, "--progress", "plain"}}.read_until("failed           count[1]");

  const auto waits = millrace({"describe", "run", "@latest"});
  CHECK(waits.status == 0);
  check_has(waits.output,
            {"Run:          " + run, "State:        running\n", "Started by:   a submission",
             "  day = monday\n", "waits for approval: Really?\n", "waits for gate\n",
             "count[1] failed: exit code 1:\n", "    no b\n"});
  CHECK(next_in(waits.output) == std::vector<std::string>{"approve " + run + " gate",
                                                          "describe task " + run + " 'count[1]'",
                                                          "watch " + run, "cancel " + run});

  const auto task = millrace({"describe", "task", run, "count[1]"});
  check_has(task.output,
            {"Label:        b\n", "State:        failed: exit code 1\n",
             "standard output, the end:\n    said\n", "standard error, the end:\n    no b\n"});
  CHECK(next_in(task.output) ==
        std::vector<std::string>{"logs " + run + " 'count[1]'", "describe run " + run});
  check_has(millrace({"describe", "task", run, "count"}).output,
            {"Instances:    2: 1 failed, 1 succeeded\n",
             "  millrace describe task " + run + " 'count[1]'\n"});
  check_has(millrace({"describe", "task", run, "after"}).output,
            {"State:        waiting: waits for gate\n"});

  CHECK(typed(next_in(waits.output).at(0)) == 0);
  CHECK(millrace({"watch", run, "--progress", "quiet"}).status == 1);
  const auto ended = millrace({"describe", "run", run}).output;
  check_has(ended, {"State:        failed: task `count` failed\n"});
  const auto commands = next_in(ended);
  CHECK(commands == std::vector<std::string>{"describe task " + run + " 'count[1]'", "logs " + run,
                                             "retry " + run, "rerun " + run + " --watch"});
  for (const auto& each : {commands.at(0), commands.at(1), commands.at(2)}) {
    CHECK(typed(each) == 0);
  }
  const auto pipeline = millrace({"describe", "pipeline", "told", "--project", "default"}).output;
  check_has(pipeline,
            {"Pipeline:     told of project default\n", "About:        All sorts.\n",
             "Version:      1, of ", "State:        takes runs\n",
             "  day: string, default \"monday\": Which one\n", "  after  needs gate: The end.\n",
             "  count [2]  a; b\n", "  nightly  0 3 * * *  next ",
             "  millrace submit told --watch --project default\n"});
  ::unsetenv("MILLRACE_SERVER");
}

TEST_CASE("what describe does not know is refused") {
  CHECK(millrace({"describe", "run"}).status == 2);
  CHECK(millrace({"describe", "silo", "a"}).errors.starts_with("millrace: describe what? "));
  CHECK(millrace({"describe", "task", "@latest"}).status == 2);
  CHECK(millrace({"describe", "run", ""}).status == 2);
  temporary_folder folder;
  const auto file = folder.path / "one.yaml";
  std::ofstream{file} << "name: one\ntasks: [{name: a, run: 'true'}]\n";
  server_process server{folder.path / "server"};
  const auto at_server = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", server.url()});
    return millrace(words);
  };
  CHECK(at_server({"describe", "run", "@latest"}).status == 5);
  CHECK(at_server({"describe", "pipeline", "nothing"}).status == 5);
  REQUIRE(at_server({"apply", file.string()}).status == 0);
  REQUIRE(at_server({"submit", "one", "--wait"}).status == 0);
  const auto none = at_server({"describe", "task", "@latest", "b"});
  CHECK(none.status == 5);
  CHECK(none.errors.find("' has no task 'b'; `millrace list tasks ") != std::string::npos);
}

}  // namespace
}  // namespace millrace::testing
