// SPDX-License-Identifier: MIT
// A run that goes on with another version of its definition.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fixture.h"

namespace millrace::actors {

namespace fs = std::filesystem;
using runtime::errc;
using runtime::ref;
using schemas::RunState;
using schemas::TaskState;

namespace {

struct told {
  std::uint32_t tasks = 0;
  std::uint32_t version = 0;
  std::vector<std::string> names;
};

runtime::result<told> retry(node& here, const std::string& run, std::uint32_t version = 0,
                            const std::string& from = {}, bool is_dry = false) {
  const auto answer = here.silo->call(ref<schemas::Run>(run).retry_with(version, from, is_dry));
  if (!answer) {
    return answer.error();
  }
  told made{answer->tasks(), answer->version(), {}};
  for (const auto each : answer->names()) {
    made.names.emplace_back(each.cStr());
  }
  return made;
}

// What the tasks have written into the workspace, a line each.
std::vector<std::string> written(const node& here, const std::string& run) {
  std::ifstream file{here.host->workspace_of(run) / "log"};
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> listed(node& here, const std::string& run) {
  const auto page = here.silo->call(ref<schemas::Run>(run).tasks("", 100, ""));
  REQUIRE(page);
  std::vector<std::string> names;
  for (const auto each : page->tasks()) {
    names.emplace_back(each.getName().cStr());
  }
  return names;
}

const auto* const first_version = R"yaml(name: p
params: {who: me}
tasks:
  - {name: a, run: echo a >> log}
  - {name: b, run: echo b >> log, needs: [a]}
  - {name: c, run: echo broken >> log; exit 1, needs: [b]}
  - {name: d, run: echo d >> log, needs: [c]}
  - {name: gone, run: echo gone >> log, needs: [d], run_on: always}
)yaml";

using lines = std::vector<std::string>;

TEST_CASE("what failed starts again as the new version has it, and what succeeded stays") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(first_version);
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(written(here, run) == lines{"a", "b", "broken", "gone"});
  here.apply(R"yaml(name: p
params: {who: me, more: {default: 7}}
tasks:
  - {name: a, run: echo a >> log, timeout: 1h}
  - {name: b, run: echo b >> log, needs: [a], retry: 3}
  - {name: c, run: 'echo mended $MILLRACE_PARAM_WHO $MILLRACE_PARAM_MORE >> log', needs: [b]}
  - {name: d, run: echo d >> log, needs: [c]}
  - {name: new, run: echo new >> log, needs: [d]}
)yaml");

  const auto dry = retry(here, run, 0, "", true);
  REQUIRE(dry);
  CHECK(dry->version == 2);
  CHECK(dry->names == lines{"c", "d", "new"});
  CHECK(here.silo->call(ref<schemas::Run>(run).status())->run().getVersion() == 1);
  CHECK(here.silo->call(ref<schemas::Run>(run).status())->run().getState() == RunState::FAILED);
  CHECK(listed(here, run) == lines{"a", "b", "c", "d", "gone"});

  const auto again = retry(here, run);
  REQUIRE(again);
  CHECK(again->tasks == 3);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(written(here, run) == lines{"a", "b", "broken", "gone", "mended me 7", "d", "new"});
  const auto status = here.silo->call(ref<schemas::Run>(run).status());
  CHECK(status->run().getVersion() == 2);
  CHECK(status->run().getTasks().getTotal() == 5);
  CHECK(status->run().getTasks().getSucceeded() == 5);
  CHECK(std::string{status->run().getParams().cStr()} == R"({"more":7,"who":"me"})");
  CHECK(listed(here, run) == lines{"a", "b", "c", "d", "new"});
  node::eventually([&] {
    const auto page = here.silo->call(ref<schemas::Pipeline>("default/p").runs("", 1, "", ""));
    return page && page->runs()[0].getVersion() == 2 &&
           page->runs()[0].getState() == RunState::SUCCEEDED;
  });
}

TEST_CASE("a task that does something else starts again, and all that needs it") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(first_version);
    CHECK(here.wait(run) == RunState::FAILED);
    std::string text{first_version};
    text.replace(text.find("echo b"), 6, "echo B");
    text.replace(text.find("; exit 1"), 8, "; sleep 600");
    here.apply(text);
    const auto again = retry(here, run, 2);
    REQUIRE(again);
    CHECK(again->names == lines{"b", "c", "d", "gone"});
    here.wait_until_running(run, "c");
    node::eventually([&] { return written(here, run).back() == "broken"; });
    CHECK(written(here, run) == lines{"a", "b", "broken", "gone", "B", "broken"});
  }
  // The run is of that version from then on, wherever it wakes up.
  node later{data.path};
  REQUIRE(later.silo->call(ref<schemas::Run>(run).cancel("enough", true)));
  CHECK(later.wait(run) == RunState::CANCELLED);
  CHECK(later.silo->call(ref<schemas::Run>(run).status())->run().getVersion() == 2);
  REQUIRE(retry(later, run, 1));
  CHECK(later.wait(run) == RunState::FAILED);
  CHECK(later.silo->call(ref<schemas::Run>(run).status())->run().getVersion() == 1);
  const auto all = written(later, run);
  CHECK(lines(all.end() - 3, all.end()) == lines{"b", "broken", "gone"});
}

TEST_CASE("a fan-out that has changed is another one, and what it was leaves no row") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
tasks:
  - {name: each, for_each: [1, 2, 3], run: 'echo $MILLRACE_ITEM >> log'}
  - {name: all, needs: [each], run: exit 1}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  here.apply(R"yaml(name: p
tasks:
  - {name: each, for_each: [4], run: 'echo $MILLRACE_ITEM >> log'}
  - {name: all, needs: [each], run: echo all >> log}
)yaml");
  const auto again = retry(here, run);
  REQUIRE(again);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(listed(here, run) == lines{"each[0]", "all"});
  CHECK(here.silo->call(ref<schemas::Run>(run).status())->run().getTasks().getTotal() == 2);
  const auto all = written(here, run);
  CHECK(lines(all.end() - 2, all.end()) == lines{"4", "all"});
  // What was forgotten goes with the run.
  REQUIRE(here.silo->call(ref<schemas::Run>(run).remove()));
  node::eventually([&] {
    const auto task = here.silo->call(ref<schemas::Task>(run + "/each[2]").describe());
    return !task && task.error().code() == errc::not_found;
  });
}

std::string over_a_list(const std::string& list, const std::string& then, const std::string& last) {
  return "name: p\ntasks:\n  - {name: list, outputs: [l], run: 'echo \"l=[" + list +
         "]\" >> \"$MILLRACE_OUTPUT\"" + then + "'}\n" +
         R"yaml(  - {name: each, needs: [list], for_each: "${{ tasks.list.outputs.l }}",
     run: 'echo $MILLRACE_ITEM >> log'}
  - {name: then, needs: [{task: each, instances: same}], for_each: "${{ tasks.list.outputs.l }}",
     run: 'echo then $MILLRACE_ITEM >> log'}
)yaml" +
         "  - {name: ends, needs: [then], run: " + last + "}\n";
}

// Goal: what hangs on what has changed has no row of before, also where the run wakes up in
// between.
TEST_CASE("instances over what has changed are those of the new list") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(over_a_list("1,2,3", "", "exit 1"));
    CHECK(here.wait(run) == RunState::FAILED);
    CHECK(listed(here, run).size() == 8);
    here.apply(over_a_list("7,8", "; sleep 600", "exit 1"));
    REQUIRE(retry(here, run));
    here.wait_until_running(run, "list");
  }
  node later{data.path};
  CHECK(listed(later, run) == lines{"list", "each", "then", "ends"});
  REQUIRE(later.silo->call(ref<schemas::Run>(run).cancel("enough", true)));
  CHECK(later.wait(run) == RunState::CANCELLED);
  later.apply(over_a_list("7,8", "", "echo"));
  REQUIRE(retry(later, run));
  CHECK(later.wait(run) == RunState::SUCCEEDED);
  CHECK(listed(later, run) == lines{"list", "each[0]", "each[1]", "then[0]", "then[1]", "ends"});
  const auto counts = later.silo->call(ref<schemas::Run>(run).status());
  CHECK(counts->run().getTasks().getTotal() == 6);
  CHECK(counts->run().getTasks().getSucceeded() == 6);
}

// Which tasks are asked for hangs on what needs what.
TEST_CASE("a run of some tasks alone goes on with those that the new version has for it") {
  temporary_folder data;
  node here{data.path};
  const auto run_of = [&](const std::string& text) {
    here.apply(text);
    schemas::pipeline_interface::submit_params params;
    params.build().setParams("{}");
    params.build().initOnly(1).set(0, "b");
    const auto made =
        here.silo->call(ref<schemas::Pipeline>("default/p").submit(std::move(params)));
    REQUIRE(made);
    std::string run{made->run()};
    CHECK(here.wait(run) == RunState::FAILED);
    return run;
  };
  const auto states = [&](const std::string& run) {
    lines made;
    const auto page = here.silo->call(ref<schemas::Run>(run).tasks("", 100, ""));
    REQUIRE(page);
    for (const auto each : page->tasks()) {
      made.push_back(std::string{each.getName().cStr()} +
                     (each.getState() == TaskState::SUCCEEDED ? "+"
                      : each.getState() == TaskState::SKIPPED ? "-"
                                                              : "?"));
    }
    return made;
  };
  const auto fewer = run_of(
      "name: p\ntasks: [{name: z, run: exit 1}, {name: a, needs: z, run: x}, "
      "{name: b, needs: a, run: x}]\n");
  here.apply(
      "name: p\ntasks: [{name: z, run: 'true'}, {name: a, needs: z, run: x}, "
      "{name: b, needs: z, run: 'true'}, {name: new, run: x}]\n");
  REQUIRE(retry(here, fewer));
  CHECK(here.wait(fewer) == RunState::SUCCEEDED);
  CHECK(states(fewer) == lines{"z+", "a-", "b+", "new-"});

  const auto more = run_of("name: p\ntasks: [{name: a, run: 'true'}, {name: b, run: exit 1}]\n");
  here.apply("name: p\ntasks: [{name: a, run: 'true'}, {name: b, needs: a, run: 'true'}]\n");
  REQUIRE(retry(here, more));
  CHECK(here.wait(more) == RunState::SUCCEEDED);
  CHECK(states(more) == lines{"a+", "b+"});
}

TEST_CASE("a version that does not fit the run changes nothing") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(first_version);
  const auto refusal = [&](std::uint32_t version, const std::string& from = {}) {
    const auto refused = retry(here, run, version, from);
    REQUIRE_FALSE(refused);
    return refused.error();
  };
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(refusal(7).code() == errc::not_found);
  CHECK(refusal(1, "nothing").code() == errc::not_found);
  here.apply("name: p\ntasks: [{name: a, run: echo a >> log}]\n");
  CHECK(refusal(2).text() ==
        "the run cannot go on with version 2: its parameters do not fit: the pipeline has "
        "no parameter `who`");
  CHECK(here.silo->call(ref<schemas::Run>(run).status())->run().getVersion() == 1);
  CHECK(written(here, run).size() == 4);

  // One that has succeeded goes on where something is new.
  here.apply("name: p\nparams: {who: me}\ntasks: [{name: a, run: echo a >> log}]\n");
  REQUIRE(retry(here, run, 3));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(written(here, run).size() == 4);
  CHECK(refusal(3).text() ==
        "the run has succeeded, and version 3 changes nothing of it; name the "
        "task to start from");
  here.apply(
      "name: p\nparams: {who: me}\ntasks: [{name: a, run: echo a >> log}, "
      "{name: z, run: echo z >> log}]\n");
  const auto more = retry(here, run);
  REQUIRE(more);
  CHECK(more->names == lines{"z"});
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(written(here, run).back() == "z");
}

TEST_CASE("a run that goes on takes no other version") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit("{name: p, tasks: [{name: t, run: sleep 600, grace_period: 1ms}]}");
  here.wait_until_running(run, "t");
  CHECK(retry(here, run).error().code() == errc::failed_precondition);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", true)));
  CHECK(here.wait(run) == RunState::CANCELLED);
}

}  // namespace
}  // namespace millrace::actors
