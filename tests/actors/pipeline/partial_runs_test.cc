// SPDX-License-Identifier: MIT
// Runs of some tasks alone: what they say of their version, what they start, and what they keep.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <string>
#include <vector>

#include "actors/schedule/fixture.h"
#include "definition/compiled.h"
#include "fixture.h"
#include "millrace/actors/selection.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::ref;
using schemas::RunState;
using schemas::TaskState;

namespace {

schemas::pipeline_interface::submit_params asked_for(const std::vector<std::string>& only) {
  schemas::pipeline_interface::submit_params params;
  params.build().setParams("{}");
  auto names = params.build().initOnly(static_cast<unsigned>(only.size()));
  for (unsigned at = 0; at < names.size(); ++at) {
    names.set(at, only[at].c_str());
  }
  return params;
}

schemas::pipeline_interface::activity_results activity(node& here, const std::string& pipeline) {
  auto told = here.silo->call(ref<schemas::Pipeline>("default/" + pipeline).activity());
  REQUIRE(told);
  return *std::move(told);
}

std::string submit_only(node& here, const std::string& pipeline,
                        const std::vector<std::string>& only) {
  const auto answer =
      here.silo->call(ref<schemas::Pipeline>("default/" + pipeline).submit(asked_for(only)));
  REQUIRE(answer);
  return std::string{answer->run()};
}

// How it ended, once its pipeline knows.
RunState ended(node& here, const std::string& pipeline, const std::string& run) {
  const auto state = here.wait(run);
  node::eventually([&] { return activity(here, pipeline).active_runs() == 0; });
  return state;
}

// Of the newest that is listed.
std::uint32_t version_listed(node& here, const std::string& pipeline) {
  const auto listed =
      here.silo->call(ref<schemas::Pipeline>("default/" + pipeline).runs("", 1, "", ""));
  REQUIRE(listed);
  REQUIRE(listed->runs().size() == 1);
  return listed->runs()[0].getVersion();
}

}  // namespace

TEST_CASE("a run of some tasks counts neither for its version nor against it") {
  temporary_folder data;
  node here{data.path};
  const std::string keys = "name: v\nrevert: {after: 2}\n";
  CHECK(ended(here, "v", here.submit(keys + "tasks: [{name: a, run: 'true'}]\n")) ==
        RunState::SUCCEEDED);
  CHECK(activity(here, "v").good_version() == 1);

  here.apply(keys + "tasks: [{name: a, run: 'true'}, {name: b, run: 'exit 3'}]\n");
  CHECK(ended(here, "v", submit_only(here, "v", {"a"})) == RunState::SUCCEEDED);
  CHECK(activity(here, "v").good_version() == 1);
  CHECK(version_listed(here, "v") == 2);

  CHECK(ended(here, "v", submit_only(here, "v", {})) == RunState::FAILED);
  CHECK(activity(here, "v").failed_in_row() == 1);
  CHECK(ended(here, "v", submit_only(here, "v", {"a"})) == RunState::SUCCEEDED);
  CHECK(activity(here, "v").failed_in_row() == 1);
  const auto partial = submit_only(here, "v", {"b"});
  CHECK(ended(here, "v", partial) == RunState::FAILED);
  CHECK(activity(here, "v").failed_in_row() == 1);
  REQUIRE(here.silo->call(ref<schemas::Run>(partial).retry()));
  CHECK(ended(here, "v", partial) == RunState::FAILED);
  CHECK(activity(here, "v").failed_in_row() == 1);
  CHECK(version_listed(here, "v") == 2);

  CHECK(ended(here, "v", submit_only(here, "v", {})) == RunState::FAILED);
  node::eventually([&] {
    const auto told = here.silo->call(ref<schemas::Pipeline>("default/v").describe(0));
    return told && text_of(told->read().getOrigin()) ==
                       "reverted: version 2 failed 2 times in a row; version 1 again";
  });
}

// Method: of one pipeline to another sends arrive in their order, so the whole run's comes last.
TEST_CASE("a run of some tasks starts nothing of another pipeline") {
  temporary_folder data;
  node here{data.path};
  const std::string once = "tasks: [{name: a, run: 'true'}]\n";
  const std::vector<std::string> others{"on-success", "on-end"};
  here.apply("name: on-success\ntriggers: {pipeline: up}\n" + once);
  here.apply("name: on-end\ntriggers: {pipeline: up, on: end}\n" + once);
  here.apply("name: up\ntasks: [{name: a, run: 'true'}, {name: b, run: 'true'}]\n");
  CHECK(ended(here, "up", submit_only(here, "up", {"a"})) == RunState::SUCCEEDED);
  const auto whole = submit_only(here, "up", {});
  CHECK(ended(here, "up", whole) == RunState::SUCCEEDED);
  for (const auto& each : others) {
    CAPTURE(each);
    std::vector<std::string> runs;
    node::eventually([&] {
      const auto told =
          here.silo->call(ref<schemas::Pipeline>("default/" + each).runs("", 9, "", ""));
      runs.clear();
      for (unsigned at = 0; told && at < told->runs().size(); ++at) {
        runs.push_back(text_of(told->runs()[at].getId()));
      }
      return !runs.empty();
    });
    REQUIRE(runs.size() == 1);
    here.wait(runs.at(0));
    const auto told = here.silo->call(ref<schemas::Run>(runs.at(0)).status());
    REQUIRE(told);
    CHECK(told->run().getTriggeredBy() == whole.c_str());
  }
}

TEST_CASE("another try after a restart still leaves out what the run was not asked for") {
  temporary_folder data;
  const auto repaired = (data.path / "repaired").string();
  std::string run;
  const auto is_left_out = [&](node& here, const std::string& name) {
    const auto told = here.task(run, name);
    return told.task().getState() == TaskState::SKIPPED &&
           text_of(told.task().getReason()) == not_selected;
  };
  {
    node here{data.path};
    here.apply(R"yaml(name: part
tasks:
  - {name: build, run: test -e )yaml" +
               repaired + R"yaml(}
  - {name: publish, needs: [build], run_on: always, run: "true"}
  - {name: lint, run: "true"}
)yaml");
    run = submit_only(here, "part", {"build"});
    CHECK(here.wait(run) == RunState::FAILED);
    CHECK(is_left_out(here, "publish"));
    CHECK(is_left_out(here, "lint"));
  }
  node here{data.path};
  const auto status = here.silo->call(ref<schemas::Run>(run).status());
  REQUIRE(status);
  REQUIRE(status->run().getOnly().size() == 1);
  CHECK(status->run().getOnly()[0] == "build");
  const auto refused = here.silo->call(ref<schemas::Run>(run).retry_from("lint", false));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text() ==
        "the run was not asked for the task 'lint'; `millrace submit part --only lint` starts a "
        "run that does");
  REQUIRE(std::ofstream{repaired});
  const auto again = here.silo->call(ref<schemas::Run>(run).retry());
  REQUIRE(again);
  CHECK(again->tasks() == 1);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(is_left_out(here, "publish"));
  CHECK(is_left_out(here, "lint"));
}

// Goal: a silo of an older version, which passes over `only`, does not run all in its place.
// Method: looks at what its pipeline sends to a run. Nothing else of the definition is new.
TEST_CASE("a run of some tasks is begun in a format that older silos refuse") {
  std::atomic<std::uint32_t> format = 0;
  pool_figures pools;
  test_silo silo{[&](runtime::silo& here) {
    here.add<project_actor>();
    here.add<pipeline_actor>(
        []() -> std::unique_ptr<pipeline_actor> { return std::make_unique<pipeline_actor>(); });
    here.add<run_actor>();
    here.add<task_actor>();
    here.add<pool_actor>([&]() -> std::unique_ptr<pool_actor> {
      return std::make_unique<pool_actor>(here.time(), std::nullopt, pools);
    });
    here.add_filter([&](runtime::incoming_call& call) -> runtime::async<runtime::any_message> {
      if (call.interface().type == "run" && call.method().name == "begin") {
        format = call.params().reader<schemas::Run::BeginParams>().getCompiled().getFormat();
      }
      co_return co_await call.proceed();
    });
  }};
  const auto pipeline = ref<schemas::Pipeline>("p/x");
  const auto made = load_definition("name: x\n" + ending, "");
  REQUIRE(made);
  REQUIRE(silo.call(pipeline.apply(to_json(*made.definition), 0, schemas::ApplyOnlyIf::ANY)));
  REQUIRE(silo.call(pipeline.submit(asked_for({}))));
  CHECK(format > 0);
  CHECK(format < 7);
  REQUIRE(silo.call(pipeline.submit(asked_for({"a"}))));
  CHECK(format == 7);
}

}  // namespace millrace::actors
