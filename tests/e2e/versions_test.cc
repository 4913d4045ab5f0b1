// SPDX-License-Identifier: MIT
// Goal: versions of a pipeline, and runs that wait, from the command line. Method: a server, and
// the program as a person calls it.
#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <vector>

#include "e2e/process.h"
#include "folders.h"

namespace millrace::testing {

namespace {

struct commanded {
  temporary_folder folder;
  server_process server{folder.path / "data"};

  finished_command operator()(std::vector<std::string> words) const {
    words.insert(words.end(), {"--server", server.url()});
    return millrace(words);
  }
  std::string file(const std::string& text) const {
    const auto path = folder.path / "pipeline.yaml";
    std::ofstream{path} << text;
    return path.string();
  }
};

std::string line(std::string text) {
  REQUIRE(text.ends_with('\n'));
  text.pop_back();
  return text;
}

}  // namespace

TEST_CASE("plan shows what would run and what would change") {
  const commanded at_server;
  const auto first = at_server.file(R"(name: etl
params: {names: [a, b]}
tasks:
  - {name: list, run: "true"}
  - {name: each, needs: [list], run: "true", for_each: "${{ params.names }}", timeout: 5s}
  - {name: found, run: "true", for_each: "${{ tasks.list.outputs.found }}", needs: [list]}
  - {name: end, needs: [each], run: "true", run_on: always, when: "${{ always() }}"}
)");
  const auto fresh = at_server({"plan", first});
  CHECK(fresh.status == 0);
  CHECK(fresh.output ==
        "pipeline etl\n"
        "  list\n"
        "  each [2]  a; b  needs list\n"
        "  found [as many as are found at run time]  needs list\n"
        "  end  needs each  run_on always  when ${{ always() }}\n"
        "it is not deployed: `millrace apply` makes version 1\n");
  CHECK(millrace({"plan", first, "--offline", "-p", R"(names=["x","y","z","w"])"})
            .output.find("each [4]  x; y; z; ...  needs list\n") != std::string::npos);
  CHECK(millrace({"plan", first, "--offline", "-p", "nmes=1"}).status == 2);
  REQUIRE(at_server({"apply", first}).status == 0);
  CHECK(at_server({"plan", first}).output.ends_with("it is as deployed, version 1\n"));
  const auto swapped = at_server({"plan", at_server.file(R"(name: etl
params: {names: [a, b]}
tasks:
  - {name: each, needs: [list], run: "true", for_each: "${{ params.names }}", timeout: 5s}
  - {name: list, run: "true"}
  - {name: found, run: "true", for_each: "${{ tasks.list.outputs.found }}", needs: [list]}
  - {name: end, needs: [each], run: "true", run_on: always, when: "${{ always() }}"}
)")});
  CHECK_MESSAGE(swapped.output.find("  ~ tasks: [\"list\",\"each\"") != std::string::npos,
                swapped.output);
  const auto second = at_server.file(R"(name: etl
params: {names: [a, b, c]}
tasks:
  - {name: more, run: "true"}
  - {name: list, run: "true"}
  - {name: each, needs: [list], run: "true", for_each: "${{ params.names }}", timeout: 10s}
)");
  const auto changed = at_server({"plan", second}).output;
  for (const auto* each : {"version 1 is deployed; `millrace apply` makes version 2:\n",
                           "  ~ params.names.default: [\"a\",\"b\"] -> [\"a\",\"b\",\"c\"]\n",
                           "  ~ tasks.each.timeout: \"5s\" -> \"10s\"\n", "  - tasks.found\n",
                           "  - tasks.end\n", "  + tasks.more\n"}) {
    CHECK_MESSAGE(changed.find(each) != std::string::npos, changed);
  }
  CHECK(at_server({"plan", second, "-o", "json"}).output.find("\"changed\": true") !=
        std::string::npos);
  CHECK(millrace({"plan", second, "--server", "http://127.0.0.1:1"}).status == 7);
  CHECK(at_server({"plan", at_server.file("name: x\ntask: []\n")}).status == 2);
  CHECK(
      millrace({"plan",
                at_server.file("name: h\nfinally: x\ntasks: [{name: a, run: x, on_failure: y}]\n"),
                "--offline"})
          .output == "pipeline h\n  a\n  a.on_failure  follows a\n  finally  follows the run\n");
}

TEST_CASE("a pipeline goes back to an earlier version, and a run is repeated with its own") {
  const commanded at_server;
  const auto version = [&](const std::string& word) {
    return at_server.file("name: say\nparams: {to: all}\ntasks:\n  - {name: a, run: 'echo " + word +
                          " $MILLRACE_PARAM_TO'}\n");
  };
  REQUIRE(at_server({"apply", version("one")}).status == 0);
  const auto run = line(at_server({"submit", "say", "-p", "to=you", "--wait"}).output);
  REQUIRE(at_server({"apply", version("two")}).status == 0);
  const auto log_of = [&](const std::string& which) {
    return at_server({"logs", which, "a"}).output;
  };
  CHECK(log_of(line(at_server({"rerun", run, "--wait"}).output)) == "one you\n");
  CHECK(log_of(line(at_server({"rerun", run, "--latest", "--wait"}).output)) == "two you\n");
  CHECK(log_of(line(at_server({"submit", "say", "--version", "1", "--wait"}).output)) ==
        "one all\n");
  CHECK(at_server({"submit", "say", "--version", "9"}).status == 5);
  CHECK(at_server({"rerun", "nobody"}).status == 5);
  CHECK(at_server({"rollback", "say", "--to", "1"}).output ==
        "pipeline say version 3 (rolled back: version 1 again)\n");
  const auto same = at_server({"rollback", "say", "--to", "1"});
  CHECK(same.status == 6);
  CHECK(same.errors.find("version 1 of pipeline 'say' says the same as its latest, 3") !=
        std::string::npos);
  CHECK(at_server({"rollback", "say", "--to", "0"}).status == 2);
}

TEST_CASE("a repeated run has the nominal time of the one that a schedule started") {
  const commanded at_server;
  REQUIRE(
      at_server({"apply", at_server.file("name: daily\nschedule: {every: 1d}\ntasks:\n"
                                         "  - {name: a, run: 'echo $MILLRACE_SCHEDULED_AT'}\n")})
          .status == 0);
  finished_command fired;
  until([&] {  // the schedule is told a moment after the apply
    fired = at_server({"schedule", "trigger", "daily", "-o", "name"});
    return fired.status == 0;
  });
  const auto run = line(fired.output);
  REQUIRE(at_server({"watch", run}).status == 0);
  const auto first = at_server({"logs", run, "a"}).output;
  CHECK(first.size() > 10);
  CHECK(at_server({"logs", line(at_server({"rerun", run, "--wait"}).output), "a"}).output == first);
}

TEST_CASE("what is paused waits, and says for what") {
  const commanded at_server;
  REQUIRE(at_server({"apply", at_server.file("name: p\ntasks:\n  - {name: gate, approval: 'On?'}\n"
                                             "  - {name: a, needs: [gate], run: 'true'}\n")})
              .status == 0);
  CHECK(at_server({"pause", "pipeline", "p"}).errors == "paused pipeline p\n");
  const auto run = line(at_server({"submit", "p"}).output);
  CHECK(at_server({"get", run}).output.find("its pipeline was paused") != std::string::npos);
  CHECK(at_server({"list", "runs"}).output.find("  queued ") != std::string::npos);
  CHECK(at_server({"list", "runs", "--state", "running"}).output.find("  queued ") ==
        std::string::npos);
  CHECK(at_server({"get", "@latest", "-o", "json"}).output.find("\"state\": \"queued\"") !=
        std::string::npos);
  CHECK(at_server({"watch", run, "--timeout", "100ms"}).status == 8);
  background_command{{"watch", run, "--progress", "plain", "--server", at_server.server.url()}}
      .read_until("run: waits: when it came its pipeline was paused\n");
  CHECK(at_server({"get", "pipeline", "p"}).output.find("paused") != std::string::npos);
  CHECK(at_server({"resume", "pipeline", "p"}).errors == "resumed pipeline p\n");
  CHECK(at_server({"pause", "run", run}).errors == "paused run " + run + "\n");
  CHECK(at_server({"get", run}).output.find("paused") != std::string::npos);
  CHECK(at_server({"resume", "run", run}).status == 0);
  CHECK(at_server({"pause", run}).status == 2);
  const auto log = at_server({"logs", run, "gate", "-f"});
  CHECK(log.status == 6);
  CHECK(log.errors.find("runs no command, so that it has no log: waits for approval: On?") !=
        std::string::npos);
  CHECK(at_server({"pause", "pipeline", "nobody"}).status == 5);
  CHECK(at_server({"cancel", run}).status == 0);
  CHECK(at_server({"watch", run}).status == 3);
  CHECK(at_server({"pause", "run", run}).status == 6);
}

}  // namespace millrace::testing
