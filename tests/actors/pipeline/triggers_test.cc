// SPDX-License-Identifier: MIT
// Runs that start runs of other pipelines.
#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "fixture.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::ref;
using schemas::RunState;

namespace {

std::vector<std::string> runs_of(node& here, const std::string& pipeline) {
  const auto told =
      here.silo->call(ref<schemas::Pipeline>("default/" + pipeline).runs("", 100, "", ""));
  std::vector<std::string> runs;
  for (unsigned at = 0; told && at < told->runs().size(); ++at) {
    runs.push_back(text_of(told->runs()[at].getId()));
  }
  return runs;
}

schemas::run_interface::status_results status_of(node& here, const std::string& run) {
  auto status = here.silo->call(ref<schemas::Run>(run).status());
  REQUIRE(status);
  return *std::move(status);
}

// The upstream pipeline, whose runs do as they are told.
constexpr const char* import = R"yaml(name: import
params: {day: {required: true}, code: "0"}
outputs: {rows: "${{ tasks.load.outputs.rows }}"}
tasks:
  - {name: load, run: 'echo rows=7 >> "$MILLRACE_OUTPUT"; exit "$MILLRACE_PARAM_CODE"'}
)yaml";

constexpr const char* report = R"yaml(name: report
params: {day: {required: true}, rows: {type: int}, by: {}, version: {type: int}}
triggers:
  pipeline: import
  params:
    day: ${{ trigger.params.day }}
    rows: ${{ int(trigger.outputs.rows) }}
    by: ${{ trigger.pipeline }} ${{ trigger.state }}
    version: ${{ trigger.version }}
tasks: [{name: a, run: "true"}]
)yaml";

}  // namespace

TEST_CASE("a run that has succeeded starts one of another pipeline, with what it tells") {
  temporary_folder data;
  std::string cause;
  {
    node here{data.path};
    here.apply(report);  // before the other is there
    const auto failed = here.submit(import, R"({"day": "monday", "code": "3"})");
    CHECK(here.wait(failed) == RunState::FAILED);
    CHECK(runs_of(here, "report").empty());
  }
  node here{data.path};
  cause = here.submit(import, R"({"day": "tuesday"})");
  CHECK(here.wait(cause) == RunState::SUCCEEDED);
  node::eventually([&] { return runs_of(here, "report").size() == 1; });
  const auto run = runs_of(here, "report").at(0);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto told = status_of(here, run);
  CHECK(told.run().getTriggeredBy() == cause.c_str());
  CHECK(text_of(told.run().getParams()) ==
        R"({"by":"import succeeded","day":"tuesday","rows":7,"version":1})");
}

TEST_CASE("the triggers of the latest version count, and outlive the pipeline they are about") {
  temporary_folder data;
  node here{data.path};
  const std::string once = "tasks: [{name: a, run: 'true'}]\n";
  here.apply("name: on-end\ntriggers: [{pipeline: up, on: end}]\n" + once);
  here.apply("name: on-failure\ntriggers: [{pipeline: up, on: failure}]\n" + once);
  here.apply("name: changed\ntriggers: [{pipeline: up, on: end}]\n" + once);
  here.apply("name: changed\n" + once);
  CHECK(here.wait(here.submit("name: up\ntasks: [{name: a, run: 'exit 1'}]\n")) ==
        RunState::FAILED);
  node::eventually([&] {
    return runs_of(here, "on-end").size() == 1 && runs_of(here, "on-failure").size() == 1;
  });
  CHECK(runs_of(here, "changed").empty());
  const auto up = ref<schemas::Pipeline>("default/up");
  REQUIRE(here.silo->call(up.remove(0)));
  const auto again = [&] {
    const auto made = load_definition("name: up\n" + once, "p.yaml");
    return here.silo->call(up.apply(to_json(*made.definition), 0, schemas::ApplyOnlyIf::ANY))
        .
        operator bool();
  };
  node::eventually(again);
  CHECK(here.wait(here.submit("name: up\n" + once)) == RunState::SUCCEEDED);
  node::eventually([&] { return runs_of(here, "on-end").size() == 2; });
  CHECK(runs_of(here, "on-failure").size() == 1);
  CHECK(runs_of(here, "changed").empty());
}

TEST_CASE("only what is new starts a run, also after a restart") {
  temporary_folder data;
  const std::string build = R"yaml(name: build
params: {commit: {}}
triggers:
  pipeline: look
  params: {commit: "${{ trigger.outputs.commit }}"}
  once_for: ${{ trigger.outputs.commit }}
tasks: [{name: a, run: "true"}]
)yaml";
  // Its runs are told one after the other, so that the last one's start comes last.
  const auto look = [](node& here, const std::string& commit) {
    const auto run = here.submit(R"yaml(name: look
params: {commit: {required: true}}
outputs: {commit: "${{ params.commit }}"}
tasks: [{name: a, run: "true"}]
)yaml",
                                 R"({"commit": ")" + commit + R"("})");
    CHECK(here.wait(run) == RunState::SUCCEEDED);
  };
  {
    node here{data.path};
    here.apply(build);
    look(here, "one");
    look(here, "one");
    look(here, "two");
    node::eventually([&] { return runs_of(here, "build").size() == 2; });
  }
  node here{data.path};
  look(here, "two");
  look(here, "one");
  node::eventually([&] { return runs_of(here, "build").size() == 3; });
  const auto newest = status_of(here, runs_of(here, "build").at(0));
  CHECK(text_of(newest.run().getParams()) == R"({"commit":"one"})");
}

TEST_CASE("each end starts a run, though the runs that have ended are kept no longer") {
  temporary_folder data;
  node here{data.path};
  here.apply(
      "name: down\nparams: {n: {type: int}}\ntriggers: {pipeline: up, params: {n: "
      "\"${{ trigger.params.n }}\"}}\ntasks: [{name: a, run: 'true'}]\n");
  const auto up = here.apply(
      "name: up\nparams: {n: {type: int}}\nretention: {runs: 1}\n"
      "tasks: [{name: a, run: 'true'}]\n");
  constexpr std::size_t count = 40;
  for (std::size_t run = 0; run < count; ++run) {
    schemas::pipeline_interface::submit_params params;
    params.build().setParams(("{\"n\": " + std::to_string(run) + "}").c_str());
    REQUIRE(here.silo->call(up.submit(std::move(params))));
  }
  node::eventually([&] { return runs_of(here, "down").size() == count; });
}

TEST_CASE("a run that cannot begin is told to the log, and pipelines in a circle end somewhere") {
  temporary_folder data;
  std::mutex lock;
  std::vector<std::string> lines;
  pipeline_host_options options;
  options.log = [&](std::string_view line) {
    const std::lock_guard guard{lock};
    lines.emplace_back(line);
  };
  const auto has_line = [&](const std::string& part) {
    const std::lock_guard guard{lock};
    return std::any_of(lines.begin(), lines.end(),
                       [&](const auto& line) { return line.find(part) != std::string::npos; });
  };
  node here{data.path, std::move(options)};
  here.apply(
      "name: picky\nparams: {n: {type: int, required: true}}\ntriggers: {pipeline: up, params: {n: "
      "x}}\n"
      "tasks: [{name: a, run: 'true'}]\n");
  const auto cause = here.submit("name: up\ntasks: [{name: a, run: 'true'}]\n");
  CHECK(here.wait(cause) == RunState::SUCCEEDED);
  node::eventually([&] {
    return has_line("pipeline default/picky: nothing is started after run " + cause + ": ");
  });
  CHECK(runs_of(here, "picky").empty());

  const std::string one = "tasks: [{name: a, run: 'true'}]\n";
  here.apply("name: ping\ntriggers: {pipeline: pong}\n" + one);
  CHECK(here.wait(here.submit("name: pong\ntriggers: {pipeline: ping}\n" + one)) ==
        RunState::SUCCEEDED);
  node::eventually([&] { return has_line("it comes from 20 runs already"); });
  CHECK(runs_of(here, "ping").size() + runs_of(here, "pong").size() == run_depth_max + 1);
}

}  // namespace millrace::actors
