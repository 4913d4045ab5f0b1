// SPDX-License-Identifier: MIT
// Runs of some tasks of a pipeline alone.
#include "millrace/actors/selection.h"

#include "actors/run/played_run.h"

namespace millrace::actors {
namespace {

using names = std::set<std::string>;

constexpr const char* pipeline = R"(name: p
outputs:
  made: ${{ tasks.build.outputs.path }}
  told: ${{ tasks.publish.status }}
  run: ${{ run.id }}
tasks:
  - {name: fetch, run: x}
  - {name: build, needs: [fetch], run: x, outputs: [path], finally: x}
  - {name: lint, run: x, outputs: [found], on_failure: x}
  - {name: test, needs: [build, lint], for_each: [1, 2], run: x}
  - {name: measure, needs: [{task: test, instances: same}], for_each: [1, 2], run: x}
  - {name: publish, needs: [test, fetch], run_on: always, run: x, finally: x}
finally:
  run: x
  env:
    SEEN: ${{ tasks.publish.status }}/${{ tasks.lint.outputs.found }}/${{ tasks.build.status }}
)";

TEST_CASE("a run of some tasks runs these, what they need and the hooks that follow") {
  played_run run{pipeline, {"build"}};
  CHECK(run.running() == names{"fetch"});
  for (const auto* each : {"lint", "test", "measure", "publish"}) {
    CAPTURE(each);
    CHECK(run.settled_.at(each) == task_state::SKIPPED);
    CHECK(run.reasons_.at(each) == "not asked for (`only`)");
  }
  run.come_back();
  run.end("fetch", task_state::SUCCEEDED);
  CHECK(run.running() == names{"build"});
  run.come_back();
  run.end("build", task_state::SUCCEEDED, {{"path", "here"}});
  CHECK(run.running() == names{"build.finally"});
  run.come_back();
  run.end("build.finally", task_state::SUCCEEDED);
  CHECK(run.running() == names{"finally"});
  for (const auto* each : {"publish.finally", "lint.on_failure"}) {  // with what they belong to
    CHECK(run.reasons_.at(each) == "not asked for (`only`)");
  }
  CHECK(run.environment("finally").at("SEEN") == "skipped//succeeded");
  run.end("finally", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
  CHECK(*run.graph_.outputs() == output_list{{"made", "here"}, {"run", "r"}});
}

// Method: what ends, or opens, while the run begins, before what needs it was looked at.
TEST_CASE("what is not asked for is skipped once, whatever becomes of what it needs") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x, when: "${{ 1 > 2 }}"}
  - {name: b, needs: [a], run_on: always, run: x}
  - {name: c, for_each: [1, 2], run: x}
  - {name: d, needs: [{task: c, instances: same}], for_each: [1, 2], run: x}
)",
                 {"a", "c"}};
  CHECK(run.running() == names{"c[0]", "c[1]"});
  run.end("c[0]", task_state::SUCCEEDED);
  CHECK_FALSE(run.ended_);
  run.end("c[1]", task_state::SUCCEEDED);
  CHECK(run.ended_);
}

TEST_CASE("a fan-out that is asked for runs with what it needs, and not what needs it") {
  played_run run{pipeline, {"test", "lint"}};
  CHECK(run.running() == names{"fetch", "lint"});
  run.end("fetch", task_state::SUCCEEDED);
  run.end("lint", task_state::SUCCEEDED);
  run.end("build", task_state::SUCCEEDED, {{"path", "here"}});
  run.end("build.finally", task_state::SUCCEEDED);
  CHECK(run.running() == names{"test[0]", "test[1]"});
  run.come_back();
  CHECK(run.settled_.at("measure") == task_state::SKIPPED);
  CHECK(run.settled_.at("publish") == task_state::SKIPPED);
}

// Goal: what was not asked for neither starts again nor has anything start again for it.
TEST_CASE("another try of such a run leaves out what its first one did") {
  played_run run{pipeline, {"build", "lint"}};
  run.end("fetch", task_state::SUCCEEDED);
  run.end("build", task_state::FAILED);
  run.end("build.finally", task_state::SUCCEEDED);
  run.end("lint", task_state::SUCCEEDED);
  run.end("finally", task_state::SUCCEEDED);
  CHECK(run.graph_.outcome() == run_state::FAILED);
  run.settled_.clear();
  run.retry();
  CHECK(run.running() == names{"build"});
  CHECK_FALSE(run.settled_.contains("publish"));
  run.come_back();
  CHECK_FALSE(run.graph_.is_selected(*run.graph_.find("publish")));

  // `lint` has ended, and only `test` needs its files, which nobody asked for.
  run.lose_files();
  run.end("build", task_state::CANCELLED);
  CHECK(run.running() == names{"fetch"});
}

TEST_CASE("what is asked for is the name of a task") {
  const auto definition = loaded(pipeline);
  const auto why = [&](std::vector<std::string> only) {
    return select_tasks(definition, only).error().text();
  };
  CHECK(why({"build", "biuld"}) ==
        "`only`: the pipeline has no task `biuld`; did you mean `build`?");
  CHECK(why({"build.finally"}) ==
        "`only`: `build.finally` is a hook, which follows what it belongs to");
  CHECK(why({"test[1]"}) ==
        "`only`: the pipeline has no task `test[1]`; name the task: all of a fan-out runs");
  CHECK(select_tasks(definition, {})->empty());
}

TEST_CASE("the last tasks are those that nothing that runs needs") {
  using last = std::set<std::string, std::less<>>;
  const auto definition = loaded(pipeline);
  const auto of = [&](const std::vector<std::string>& only) {
    return last_tasks(definition, *select_tasks(definition, only));
  };
  CHECK(of({}) == last{"measure", "publish"});
  CHECK(of({"build", "lint"}) == last{"build", "lint"});
  CHECK(of({"fetch", "test"}) == last{"test"});
}

}  // namespace
}  // namespace millrace::actors
