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
labels: {team: web}
priority: high
concurrency: {limit: 4, on_limit: reject}
revert: {after: 2}
retention: {runs: 9, age: 14d}
triggers:
  - {pipeline: other, on: end}
  - {webhook: hub, signature: {secret: hub-key}}
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
  background_command watched{{"watch", run, "--progress", "plain"}};
  watched.read_until("failed           count[1]");
  watched.read_until("succeeded        count[0]");

  const auto waits = millrace({"describe", "run", "@latest"});
  CHECK(waits.status == 0);
  check_has(waits.output,
            {"Run:          " + run, "State:        running\n",
             "Tasks:        4 tasks: 1 succeeded, 1 failed, 1 running, 1 waiting\n",
             "Started by:   a submission", "  day = monday\n", "waits for approval: Really?\n",
             "waits for gate\n", "count[1] failed: exit code 1:\n", "    no b\n"});
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
             "Version:      1, of ", "State:        takes runs\n", "Labels:       team=web\n",
             "Priority:     ", "Concurrency:  4 runs at a time; one more is refused\n",
             "Reverts:      after 2 failed runs in a row\n",
             "Keeps:        the last 9 ended runs, no longer than 336h\n",
             "Triggers:\n  pipeline other, on end\n  webhook hub, signed with secret hub-key\n",
             "  day: string, default \"monday\": Which one\n", "  after  needs gate: The end.\n",
             "  count [2]  a; b\n", "  nightly  0 3 * * * UTC  next ",
             "  millrace submit told --watch --project default\n"});
  ::unsetenv("MILLRACE_SERVER");
}

// A server that is named by an option alone.
struct described {
  finished_command ask(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", server.url()});
    return millrace(words);
  }
  std::vector<std::string> next(std::vector<std::string> words) const {
    words.insert(words.begin(), "describe");
    const auto told = ask(std::move(words));
    CHECK_MESSAGE(told.status == 0, told.errors);
    return next_in(told.output);
  }
  // What is told is to have these options, too.
  std::vector<std::string> with_server(std::vector<std::string> commands) const {
    for (auto& each : commands) {
      each += " --server " + server.url();
    }
    return commands;
  }
  void apply(const std::string& text) const {
    const auto file = folder.path / "p.yaml";
    std::ofstream{file} << text;
    const auto applied = ask({"apply", file.string()});
    REQUIRE_MESSAGE(applied.status == 0, applied.errors);
  }
  std::string submit(std::vector<std::string> words) const {
    words.insert(words.begin(), "submit");
    auto run = ask(std::move(words)).output;
    REQUIRE(run.size() > 1);
    run.pop_back();
    return run;
  }

  temporary_folder folder;
  server_process server{folder.path / "server"};
};

TEST_CASE("what describe proposes goes to the server that it was asked of, and is not refused") {
  const described at;
  at.apply("name: idle\ntasks: [{name: a, run: 'true'}]\n");
  REQUIRE(at.ask({"pause", "pipeline", "idle"}).status == 0);
  const auto run = at.submit({"idle", "--no-cache"});
  check_has(at.ask({"describe", "run", run}).output,
            {"State:        queued: waits: when it came its pipeline was paused",
             "Kept results: not used (`no_cache`)\n"});
  const auto waits = at.next({"run", run});
  CHECK(waits == at.with_server({"resume pipeline idle", "watch " + run, "cancel " + run}));
  CHECK(
      at.next({"run", "@latest", "--project", "default"}) ==
      at.with_server({"resume pipeline idle --project default", "watch " + run, "cancel " + run}));
  ::setenv("MILLRACE_PROJECT", "other", 1);  // where that name means nothing
  CHECK(at.next({"run", run}).at(0) ==
        at.with_server({"resume pipeline idle --project default"}).at(0));
  ::unsetenv("MILLRACE_PROJECT");
  CHECK(at.next({"pipeline", "idle"}) ==
        at.with_server({"submit idle --watch", "resume pipeline idle", "describe run " + run}));

  // One that has never begun has nothing to show, nor to repeat.
  REQUIRE(at.ask({"cancel", run}).status == 0);
  REQUIRE(at.ask({"watch", run, "--progress", "quiet"}).status != 0);
  CHECK(at.next({"run", run}) == at.with_server({"rerun " + run + " --watch"}));
  CHECK(at.next({"task", run, "a"}) == at.with_server({"describe run " + run}));
  CHECK(typed(waits.at(0)) == 0);

  const std::string cached =
      "name: kept\nworkspace: task\ntasks: [{name: a, cache: true, run: 'echo made'}]\n";
  at.apply(cached);
  REQUIRE(at.ask({"submit", "kept", "--wait"}).status == 0);
  const auto ids = at.ask({"list", "runs", "kept", "-o", "name"}).output;
  REQUIRE(at.ask({"submit", "kept", "--wait"}).status == 0);
  const auto of_task = at.next({"task", "@latest", "a"});
  REQUIRE(of_task.size() == 2);
  const auto maker = ids.substr(0, ids.find('\n'));
  CHECK(of_task.at(0) == at.with_server({"logs " + maker + " a"}).at(0));
  CHECK(typed(of_task.at(0)) == 0);
  CHECK(at.next({"run", "@latest"}).size() == 1);
}

TEST_CASE("describe proposes a retry where one starts the task again") {
  const described at;
  at.apply(R"(name: ends
tasks:
  - {name: bad, run: exit 3}
  - {name: good, run: 'true'}
  - {name: last, needs: [bad], run: 'true'}
)");
  at.ask({"submit", "ends", "--wait"});
  auto run = at.ask({"list", "runs", "ends", "-o", "name"}).output;
  run.pop_back();
  const auto about = "describe run " + run;
  CHECK(at.next({"task", run, "bad"}) ==
        at.with_server({"logs " + run + " bad", "retry " + run, about}));
  CHECK(at.next({"task", run, "good"}) == at.with_server({"logs " + run + " good", about}));
  CHECK(at.next({"task", run, "last"}) == at.with_server({"retry " + run, about}));

  // What failed may have failed by what a task before it acquired.
  at.apply(R"(name: taken
tasks:
  - {name: acquire, run: 'true'}
  - {name: use, needs: [acquire], run: 'false'}
)");
  at.ask({"submit", "taken", "--wait"});
  run = at.ask({"list", "runs", "taken", "-o", "name"}).output;
  run.pop_back();
  CHECK(at.next({"run", run}) ==
        at.with_server({"describe task " + run + " use", "logs " + run, "retry " + run,
                        "retry " + run + " --from acquire", "rerun " + run + " --watch"}));
  CHECK(at.next({"task", run, "use"}) ==
        at.with_server({"logs " + run + " use", "retry " + run, "retry " + run + " --from acquire",
                        "describe run " + run}));

  // A run that has succeeded all the same is retried from a task alone.
  at.apply(R"(name: soft
tasks:
  - {name: each, for_each: [a, b], allow_failures: true, on_failure: 'true',
     run: test $MILLRACE_ITEM = a}
)");
  REQUIRE(at.ask({"submit", "soft", "--wait"}).status == 0);
  run = at.ask({"list", "runs", "soft", "-o", "name"}).output;
  run.pop_back();
  const auto soft = at.next({"task", run, "each[1]"});
  CHECK(soft == at.with_server({"logs " + run + " 'each[1]'", "retry " + run + " --from each",
                                "describe run " + run}));
  CHECK(at.next({"task", run, "each.on_failure"}) ==
        at.with_server({"logs " + run + " each.on_failure", "describe run " + run}));
  CHECK(typed(soft.at(1)) == 0);
}

TEST_CASE("of a large fan-out describe shows the failed ones and some of the others") {
  const described at;
  std::string items;
  for (auto each = 0; each < 130; ++each) {
    items += (each == 0 ? "" : ", ") + std::to_string(each);
  }
  at.apply(
      "name: wide\nmax_parallel: 8\ntasks:\n  - {name: before, run: 'true'}\n  - name: many\n    "
      "for_each: [" +
      items + "]\n    fail_fast: false\n    run: test $MILLRACE_ITEM -lt 128\n");
  at.ask({"submit", "wide", "--wait"});
  const auto told = at.ask({"describe", "task", "@latest", "many"});
  CHECK(told.status == 0);
  const auto& text = told.output;
  auto run = at.ask({"list", "runs", "wide", "-o", "name"}).output;
  run.pop_back();
  const auto all = "list tasks " + run + " --limit 131 --server " + at.server.url();
  check_has(text, {"Instances:    130: 2 failed, 128 succeeded\n",
                   "100 of them, the failed ones first; `millrace " + all + "` shows all\n"});
  CHECK(text.find("\nmany[128]") < text.find("\nmany[0]"));
  CHECK(text.find("\nmany[97]") != std::string::npos);
  CHECK(text.find("\nmany[98]") == std::string::npos);
  CHECK(typed(all) == 0);
  check_has(at.ask({"describe", "task", "@latest", "many[0]"}).output,
            {"Task:         many[0] of"});
  check_has(at.ask({"describe", "task", "@latest", "many[129]"}).output, {"Label:        129\n"});
  CHECK(at.ask({"describe", "task", "@latest", "many[130]"}).status == 5);
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
