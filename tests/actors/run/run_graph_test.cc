// SPDX-License-Identifier: MIT
// The run's decisions, without actors: what starts, what is settled, how a run ends.
#include "played_run.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <random>
#include <set>

namespace millrace::actors {
namespace {

using names = std::set<std::string>;

TEST_CASE("instances are found by name and by order, a fan-out as one until its list is known") {
  played_run run{R"(name: p
tasks:
  - {name: list, run: x, outputs: [files]}
  - {name: each, run: x, needs: [list], for_each: "${{ tasks.list.outputs.files }}"}
  - {name: last, run: x, needs: [each]}
)"};
  const auto in_order = [&run] {
    std::vector<std::string> listed;
    for (auto at = run.graph_.next_instance({}); at; at = run.graph_.next_instance(at)) {
      listed.push_back(run.graph_.name_of(*at));
      CHECK(run.graph_.instance_named(listed.back()) == at);
    }
    return listed;
  };
  CHECK(in_order() == std::vector<std::string>{"list", "each", "last"});
  CHECK_FALSE(run.graph_.instance_named("each[0]"));
  run.end("list", task_state::SUCCEEDED, {{"files", "a\nb"}});
  CHECK(in_order() == std::vector<std::string>{"list", "each[0]", "each[1]", "last"});
  for (const auto* name : {"each", "each[2]", "each[", "each[x]", "list[0]", "nope", ""}) {
    CHECK_FALSE(run.graph_.instance_named(name));
  }
}

TEST_CASE("tasks that have not opened are known, a fan-out as one until its list is") {
  played_run run{R"(name: p
tasks:
  - {name: list, run: x, outputs: [files]}
  - {name: each, run: x, needs: [list], for_each: "${{ tasks.list.outputs.files }}"}
  - {name: last, run: x, needs: [each]}
  - {name: not, run: x, needs: [last], for_each: [1, 2], when: "${{ 1 == 2 }}"}
)"};
  CHECK(run.graph_.known_instances() == 4);
  run.end("list", task_state::SUCCEEDED, {{"files", "a\nb\nc"}});
  CHECK(run.graph_.known_instances() == 6);
  run.come_back();
  CHECK(run.graph_.known_instances() == 6);
  run.end("each[0]", task_state::FAILED);
  run.end("each[1]", task_state::SUCCEEDED);
  run.end("each[2]", task_state::SUCCEEDED);
  REQUIRE(run.ended_);
  CHECK(run.graph_.known_instances() == 6);  // `last` and `not` as a whole
  run.retry();
  CHECK(run.graph_.known_instances() == 6);
  run.end("each[0]", task_state::SUCCEEDED);
  run.end("last", task_state::SUCCEEDED);
  CHECK(run.graph_.known_instances() == 6);
  run.retry({0});  // all of it again
  CHECK(run.graph_.known_instances() == 4);
}

TEST_CASE("what has not started says what it waits for") {
  played_run run{R"(name: p
max_parallel: 3
tasks:
  - {name: a, run: x, for_each: [1, 2], max_parallel: 1}
  - {name: b, run: x, needs: [{task: a, instances: same}], for_each: [1, 2]}
  - {name: c, run: x}
  - {name: d, run: x, needs: [a, b, c]}
  - {name: e, run: x, needs: [a, b, c, d], on_failure: x}
  - {name: f, run: x, needs: [c], for_each: [1, 2, 3], max_parallel: 3}
finally: x
)"};
  const auto why = [&](std::string_view name) {
    return run.graph_.waiting_text(*run.graph_.instance_named(name));
  };
  CHECK(run.running() == names{"a[0]", "c"});
  CHECK(why("a[1]") == "as many of its instances go on as may (`max_parallel` is 1)");
  CHECK(why("b[1]") == "waits for a[1]");
  CHECK(why("d") == "waits for a, b, c");
  CHECK(why("e") == "waits for a, b, c and 1 more");
  CHECK(why("e.on_failure") == "waits for e");
  CHECK(why("finally") == "waits for the end of the run");
  run.end("c", task_state::SUCCEEDED);
  CHECK(why("d") == "waits for a, b");
  CHECK(why("f[2]") == "as many tasks of its run go on as may, 3");
  run.graph_.restore_held();
  CHECK(why("d") == "waits until all that runs has ended, since the files of its run are lost");
}

// Goal: one turn is bounded, whatever `when` asks of each of many instances; and what costs little
// is not refused. Method: counted, as the bound is.
TEST_CASE("the conditions of all instances together have a bound") {
  constexpr int width = 100'000;
  const auto refused = [](const std::string& when) {
    played_run run{
        "name: p\ntasks:\n  - {name: a, run: x, fail_fast: false, for_each: \"${{ range(0, " +
        std::to_string(width) + ") }}\", when: \"${{ " + when + " }}\"}\n"};
    CHECK(run.running().contains("a[0]"));
    return std::count_if(run.settled_.begin(), run.settled_.end(), [&](const auto& each) {
      CHECK(run.reasons_.at(each.first) ==
            "`when`: with those of the instances before it too much work: long texts, long lists "
            "and large patterns count; have a command do it");
      return each.second == task_state::ERRORED;
    });
  };
  CHECK(refused("item >= 0 && matches(string(item), '^[0-9]+$')") == 0);
  const auto of_costly = refused("!matches(string(item), '[a-z]{900}')");
  CHECK(of_costly > width / 2);
  CHECK(of_costly < width);
}

TEST_CASE("of many that are waited for three are named, and the rest is counted") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x, for_each: [1, 2]}
  - {name: b, run: x, for_each: [1, 2]}
  - {name: c, run: x, for_each: [1, 2]}
  - {name: d, run: x, for_each: [1, 2]}
  - {name: e, run: x, for_each: [1, 2]}
  - name: each
    run: x
    for_each: [1, 2]
    needs: [{task: a, instances: same}, {task: b, instances: same}, {task: c, instances: same},
            {task: d, instances: same}, {task: e, instances: same}]
  - {name: all, run: x, needs: [a, b, c, d, e, each]}
)"};
  const auto why = [&](std::string_view name) {
    return run.graph_.waiting_text(*run.graph_.instance_named(name));
  };
  CHECK(why("all") == "waits for a, b, c and 3 more");
  CHECK(why("each[1]") == "waits for a[1], b[1], c[1] and 2 more");
  run.end("a[1]", task_state::SUCCEEDED);
  run.end("b[1]", task_state::SUCCEEDED);
  CHECK(why("each[1]") == "waits for c[1], d[1], e[1]");
  CHECK(why("each[0]") == "waits for a[0], b[0], c[0] and 2 more");
}

TEST_CASE("tasks start when what they need has succeeded") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
  - {name: c, run: x, needs: [a]}
  - {name: d, run: x, needs: [b, c]}
)"};
  CHECK(run.running() == names{"a"});
  run.end("a", task_state::SUCCEEDED);
  CHECK(run.running() == names{"b", "c"});
  run.end("b", task_state::SUCCEEDED);
  CHECK(run.running() == names{"c"});
  run.end("c", task_state::SUCCEEDED);
  run.end("d", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

TEST_CASE("a failure reaches what needs it, and only that") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
  - {name: c, run: x, needs: [b]}
  - {name: other, run: x}
  - {name: tidy, run: x, needs: [c], run_on: always}
  - {name: alert, run: x, needs: [a], run_on: failure}
)"};
  run.end("a", task_state::FAILED);
  CHECK(run.settled_.at("b") == task_state::UPSTREAM_FAILED);
  CHECK(run.settled_.at("c") == task_state::UPSTREAM_FAILED);
  CHECK(run.running() == names{"alert", "other", "tidy"});
  for (const auto* each : {"alert", "other", "tidy"}) {
    run.end(each, task_state::SUCCEEDED);
  }
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::FAILED);
  CHECK(run.graph_.failure_text() == "task `a` failed");
}

TEST_CASE("a false condition skips a task and what needs it") {
  played_run run{R"(name: p
params: {full: false}
tasks:
  - {name: a, run: x, when: "${{ params.full }}"}
  - {name: b, run: x, needs: [a]}
)"};
  CHECK(run.ended_);
  CHECK(run.settled_.at("a") == task_state::SKIPPED);
  CHECK(run.settled_.at("b") == task_state::SKIPPED);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

TEST_CASE("a fan-out over the outputs of a task is joined by the next") {
  played_run run{R"(name: p
tasks:
  - {name: list, run: x, outputs: [files]}
  - {name: count, run: x, needs: [list], for_each: "${{ tasks.list.outputs.files }}", outputs: [n]}
  - {name: join, command: [echo, "${{ tasks.count.outputs.n }}"], needs: [count]}
)"};
  run.end("list", task_state::SUCCEEDED, {{"files", "x\ny"}});
  CHECK(run.running() == names{"count[0]", "count[1]"});
  run.end("count[1]", task_state::SUCCEEDED, {{"n", "2"}});
  run.end("count[0]", task_state::SUCCEEDED, {{"n", "1"}});
  CHECK(run.running() == names{"join"});
  CHECK(run.graph_.arguments(run.running_.at("join"))->at(1) == R"(["1","2"])");
}

// A fan-out over a list, and what needs it.
std::string listing(std::string_view more) {
  return R"(name: p
tasks:
  - {name: list, run: x, outputs: [files]}
  - {name: fan, run: x, needs: [list], for_each: "${{ tasks.list.outputs.files }}", outputs: [n])" +
         std::string{more} + R"(}
  - {name: join, command: [echo, "${{ tasks.fan.outputs.n }}"], needs: [fan]}
  - {name: last, run: x, needs: [join]}
)";
}

TEST_CASE("a fan-out over nothing has succeeded, and its outputs are an empty list") {
  for (const auto* more : {"", ", on_empty: succeed"}) {
    for (const auto* nothing : {"", "[]", "\n\n"}) {
      played_run run{listing(more)};
      run.end("list", task_state::SUCCEEDED, {{"files", nothing}});
      CHECK(run.settled_.at("fan") == task_state::SUCCEEDED);
      CHECK(run.reasons_.at("fan") == "0 of 0: its list is empty");
      CHECK(run.running() == names{"join"});
      run.come_back();
      CHECK(run.graph_.arguments(run.running_.at("join"))->at(1) == "[]");
      run.end("join", task_state::SUCCEEDED);
      run.end("last", task_state::SUCCEEDED);
      CHECK(run.ended_);
      CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
    }
  }
}

TEST_CASE("a matrix of which everything is excluded is a fan-out over nothing") {
  played_run run{R"(name: p
tasks:
  - {name: t, run: x, matrix: {os: [a], exclude: [{os: a}]}}
  - {name: after, run: x, needs: [t]}
)"};
  CHECK(run.settled_.at("t") == task_state::SUCCEEDED);
  CHECK(run.running() == names{"after"});
}

TEST_CASE("on_empty says that a fan-out over nothing is skipped or has failed") {
  played_run skips{listing(", on_empty: skip")};
  skips.end("list", task_state::SUCCEEDED, {{"files", ""}});
  CHECK(skips.settled_.at("fan") == task_state::SKIPPED);
  CHECK(skips.reasons_.at("fan") == "its list is empty");
  CHECK(skips.settled_.at("join") == task_state::SKIPPED);
  CHECK(skips.reasons_.at("join") == "needs fan: skipped, its list is empty");
  CHECK(skips.reasons_.at("last") == "needs join: skipped");
  CHECK(skips.graph_.outcome() == run_state::SUCCEEDED);

  played_run fails{listing(", on_empty: fail")};
  fails.end("list", task_state::SUCCEEDED, {{"files", ""}});
  CHECK(fails.settled_.at("fan") == task_state::FAILED);
  CHECK(fails.reasons_.at("fan") == "its list is empty (`on_empty` is `fail`)");
  CHECK(fails.settled_.at("join") == task_state::UPSTREAM_FAILED);
  CHECK(fails.graph_.outcome() == run_state::FAILED);
}

TEST_CASE("a list that is none is an error of the system") {
  played_run broken{listing("")};
  broken.end("list", task_state::SUCCEEDED, {{"files", "[x"}});
  CHECK(broken.settled_.at("fan") == task_state::ERRORED);
  CHECK(broken.graph_.outcome() == run_state::FAILED);
}

// Goal: whoever looks at a task that did not run learns which other one kept it from it, and why;
// a restart in between changes nothing.
TEST_CASE("a task that does not start names the tasks it needs and their states") {
  played_run run{R"(name: p
params: {full: false}
tasks:
  - {name: a, run: x}
  - {name: b, run: x, when: "${{ params.full }}"}
  - {name: c, run: x, for_each: [1, 2], fail_fast: false}
  - {name: d, run: x}
  - {name: both, run: x, needs: [b, d, a, c]}
  - {name: later, run: x, needs: [both]}
  - {name: alert, run: x, needs: [d, b], run_on: failure}
  - {name: idle, run: x, run_on: failure}
  - {name: either, run: x, needs: [a, b], run_on: any}
  - {name: many, run: x, needs: [a, b, both, later, alert]}
)"};
  CHECK(run.reasons_.at("idle") == "it needs no task that could fail (`run_on` is `failure`)");
  run.end("c[0]", task_state::SUCCEEDED);
  run.end("c[1]", task_state::TIMED_OUT, {}, "timed out after 3s");
  run.end("d", task_state::SUCCEEDED);
  run.come_back();
  run.end("a", task_state::FAILED, {}, "exit code 3");
  CHECK(run.settled_.at("both") == task_state::UPSTREAM_FAILED);
  CHECK(run.reasons_.at("both") ==
        "needs a: failed, exit code 3; c: timed_out, c[1] timed out after 3s; b: skipped, its "
        "condition is false");
  CHECK(run.reasons_.at("later") == "needs both: upstream_failed");
  CHECK(run.settled_.at("alert") == task_state::SKIPPED);
  CHECK(run.reasons_.at("alert") ==
        "needs d: succeeded; b: skipped, its condition is false (`run_on` is `failure`)");
  CHECK(run.settled_.at("either") == task_state::UPSTREAM_FAILED);
  CHECK(run.reasons_.at("either") ==
        "needs a: failed, exit code 3; b: skipped, its condition is false (`run_on` is `any`)");
  CHECK(run.reasons_.at("many") ==
        "needs a: failed, exit code 3; both: upstream_failed; later: upstream_failed; and 2 more");
}

TEST_CASE("the reason of a needed task is cut where it is long") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
)"};
  std::string long_reason(1'000, 'x');
  long_reason.insert(10, "\n");
  run.end("a", task_state::ERRORED, {}, long_reason);
  const auto& said = run.reasons_.at("b");
  CHECK(said.starts_with("needs a: errored, xxxxxxxxxx xxx"));
  CHECK(said.ends_with("x..."));
  CHECK(said.size() < 250);
}

TEST_CASE("max_parallel bounds a fan-out and fail_fast ends it") {
  played_run run{R"(name: p
tasks: [{name: t, run: x, for_each: [a, b, c, d], max_parallel: 2}]
)"};
  CHECK(run.running() == names{"t[0]", "t[1]"});
  run.end("t[0]", task_state::SUCCEEDED);
  CHECK(run.running() == names{"t[1]", "t[2]"});
  run.end("t[1]", task_state::FAILED, {}, "exit code 1");
  CHECK(run.cancelled_ == names{"t[2]"});
  CHECK(run.settled_.at("t[3]") == task_state::CANCELLED);
  CHECK(run.reasons_.at("t[3]") == "t[1]: failed, exit code 1 (`fail_fast`)");
  CHECK(run.reasons_.at("t[2]") == run.reasons_.at("t[3]"));
  run.end("t[2]", task_state::CANCELLED);
  CHECK(run.ended_);
}

TEST_CASE("stopping settles what has not started and waits for what has") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
)"};
  run.stop();
  CHECK(run.cancelled_ == names{"a"});
  CHECK_FALSE(run.ended_);
  run.end("a", task_state::CANCELLED);
  CHECK(run.settled_.at("b") == task_state::CANCELLED);
  CHECK(run.ended_);
}

TEST_CASE("a stopped run still does what it always does, once what that needs has ended") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
  - {name: alert, run: x, needs: [b], run_on: failure}
  - {name: tidy, run: x, needs: [b], run_on: always}
  - {name: wipe, run: x, needs: [tidy], run_on: always, for_each: [1, 2], max_parallel: 1}
  - {name: maybe, run: x, needs: [b], run_on: always, when: "${{ tasks.a.status == 'succeeded' }}"}
  - {name: last, run: x, needs: [tidy]}
)"};
  run.stop();
  CHECK(run.cancelled_ == names{"a"});
  CHECK(run.running() == names{"a"});
  run.end("a", task_state::CANCELLED);
  CHECK(run.settled_.at("b") == task_state::CANCELLED);
  CHECK(run.settled_.at("alert") == task_state::CANCELLED);
  CHECK(run.settled_.at("maybe") == task_state::SKIPPED);
  CHECK(run.running() == names{"tidy"});
  run.come_back();
  run.end("tidy", task_state::SUCCEEDED);
  CHECK(run.settled_.at("last") == task_state::CANCELLED);
  CHECK(run.running() == names{"wipe[0]"});
  run.end("wipe[0]", task_state::SUCCEEDED);
  CHECK_FALSE(run.ended_);
  run.come_back();
  run.end("wipe[1]", task_state::SUCCEEDED);
  CHECK(run.ended_);
}

TEST_CASE("a stop leaves what runs always alone, a second one may end it") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: tidy, run: x, needs: [a], run_on: always, for_each: [1, 2], max_parallel: 1}
  - {name: wipe, run: x, needs: [tidy], run_on: always}
)"};
  run.end("a", task_state::FAILED);
  run.stop();
  CHECK(run.cancelled_.empty());
  CHECK(run.running() == names{"tidy[0]"});
  run.stop(stop_reach::everything);
  CHECK(run.cancelled_ == names{"tidy[0]"});
  CHECK(run.settled_.at("tidy[1]") == task_state::CANCELLED);
  run.come_back();
  run.end("tidy[0]", task_state::CANCELLED);
  CHECK(run.settled_.at("wipe") == task_state::CANCELLED);
  CHECK(run.ended_);
}

TEST_CASE("a retry starts again what did not succeed and keeps what did") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, for_each: [1, 2], fail_fast: false, needs: [a]}
  - {name: c, run: x, needs: [b]}
)"};
  run.end("a", task_state::SUCCEEDED);
  run.end("b[0]", task_state::SUCCEEDED);
  run.end("b[1]", task_state::FAILED);
  CHECK(run.ended_);
  std::vector<instance_id> forgotten;
  run.take(run.graph_.retry(forgotten));
  CHECK(run.running() == names{"b[1]"});
  CHECK(forgotten.size() == 2);
  run.end("b[1]", task_state::SUCCEEDED);
  run.end("c", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

// Goal: nothing is left from before that belongs to an earlier try of what it needs.
TEST_CASE("a retry starts again all that needs what starts again, cleanups too") {
  played_run run{R"(name: p
tasks:
  - {name: acquire, run: x}
  - {name: work, run: x, needs: [acquire]}
  - {name: alert, run: x, needs: [work], run_on: failure}
  - {name: release, run: x, needs: [work], run_on: always}
  - {name: each, run: x, needs: [release], run_on: always, for_each: [1, 2]}
  - {name: other, run: x}
)"};
  run.end("other", task_state::SUCCEEDED);
  run.end("acquire", task_state::SUCCEEDED);
  run.end("work", task_state::FAILED);
  run.end("alert", task_state::SUCCEEDED);
  run.end("release", task_state::SUCCEEDED);
  run.end("each[0]", task_state::SUCCEEDED);
  run.end("each[1]", task_state::SUCCEEDED);
  CHECK(run.ended_);
  run.retry();
  CHECK(run.running() == names{"work"});
  run.come_back();
  run.end("work", task_state::SUCCEEDED);
  CHECK(run.settled_.at("alert") == task_state::SKIPPED);
  CHECK(run.running() == names{"release"});
  run.end("release", task_state::SUCCEEDED);
  CHECK(run.running() == names{"each[0]", "each[1]"});
  run.end("each[0]", task_state::SUCCEEDED);
  run.end("each[1]", task_state::SUCCEEDED);
  CHECK(run.ended_);

  // From any task, also of a run that has succeeded.
  run.retry({0});
  CHECK(run.running() == names{"acquire"});
  run.come_back();
  run.end("acquire", task_state::SUCCEEDED);
  CHECK(run.running() == names{"work"});
}

TEST_CASE("failures that are allowed are as good as success, and end nothing") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x, allow_failures: true}
  - {name: b, run: x, for_each: [1, 2, 3, 4], allow_failures: 1}
  - {name: c, run: x, for_each: [1, 2, 3, 4], allow_failures: 50%, max_parallel: 3}
  - {name: d, run: x, needs: [a, b, c], when: "${{ success() && !failure() }}"}
  - {name: alert, run: x, needs: [a, b, c], run_on: failure}
  - {name: e, run: x, when: "${{ tasks.a.status == 'failed' }}", needs: [a]}
)"};
  run.end("a", task_state::FAILED);
  CHECK(run.running().contains("e"));
  run.end("e", task_state::SUCCEEDED);
  run.end("b[0]", task_state::FAILED);
  run.end("b[1]", task_state::SUCCEEDED);
  run.end("b[2]", task_state::SUCCEEDED);
  run.end("c[0]", task_state::TIMED_OUT);
  CHECK(run.cancelled_.empty());
  run.come_back();
  run.end("b[3]", task_state::SUCCEEDED);
  run.end("c[1]", task_state::FAILED);
  run.come_back();
  CHECK(run.running() == names{"c[2]", "c[3]"});
  run.end("c[2]", task_state::SUCCEEDED);
  run.end("c[3]", task_state::SUCCEEDED);
  CHECK(run.settled_.at("alert") == task_state::SKIPPED);
  CHECK(run.running() == names{"d"});
  run.come_back();
  run.end("d", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
  run.come_back();
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

TEST_CASE("one failure more than is allowed is a failure") {
  played_run run{R"(name: p
tasks:
  - {name: b, run: x, for_each: [1, 2, 3, 4], allow_failures: 1, max_parallel: 2}
  - {name: d, run: x, needs: [b]}
  - {name: alert, run: x, needs: [b], run_on: failure}
)"};
  run.end("b[0]", task_state::FAILED);
  run.come_back();
  CHECK(run.running() == names{"b[1]", "b[2]"});
  run.end("b[1]", task_state::FAILED);
  CHECK(run.cancelled_ == names{"b[2]"});
  CHECK(run.settled_.at("b[3]") == task_state::CANCELLED);
  run.come_back();
  run.end("b[2]", task_state::CANCELLED);
  CHECK(run.settled_.at("d") == task_state::UPSTREAM_FAILED);
  CHECK(run.running() == names{"alert"});
  run.end("alert", task_state::SUCCEEDED);
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::FAILED);
  CHECK(run.graph_.failure_text() == "task `b` failed");
}

TEST_CASE("an approval holds up nothing but what needs it") {
  played_run run{R"(name: p
max_parallel: 1
tasks:
  - {name: gate, approval: "Go?"}
  - {name: a, run: x}
  - {name: b, run: x, needs: [gate]}
)"};
  CHECK(run.running() == names{"a", "gate"});
  CHECK(run.graph_.active() == 1);
  run.come_back();
  CHECK(run.graph_.active() == 1);
  run.lose_files();
  CHECK(run.cancelled_ == names{"a"});
  run.end("a", task_state::CANCELLED);
  CHECK(run.running() == names{"a", "gate"});
  run.come_back();
  CHECK(run.graph_.active() == 1);
}

TEST_CASE("a loss of files asks again only about what they were") {
  const std::string text = R"(name: p
tasks:
  - {name: before, approval: "Begin?"}
  - {name: build, run: x, needs: [before]}
  - {name: release, approval: "Release it?", needs: [build]}
  - {name: publish, run: x, needs: [release]}
)";
  const auto publishing = [&text] {
    played_run run{text};
    for (const auto* each : {"before", "build", "release"}) {
      run.end(each, task_state::SUCCEEDED);
    }
    CHECK(run.running() == names{"publish"});
    return run;
  };
  auto lost = publishing();
  lost.lose_files();
  lost.end("publish", task_state::CANCELLED);
  CHECK(lost.running() == names{"build"});
  lost.come_back();
  lost.end("build", task_state::SUCCEEDED);
  CHECK(lost.running() == names{"release"});

  auto failed = publishing();
  failed.end("publish", task_state::FAILED);
  std::vector<instance_id> forgotten;
  failed.take(failed.graph_.retry(forgotten, run_graph::files::lost));
  CHECK(failed.running() == names{"build"});
}

TEST_CASE("an approval is asked whatever waits before it, also after a loss of files") {
  played_run run{R"(name: p
max_parallel: 1
tasks:
  - {name: a, run: x, for_each: [1, 2]}
  - {name: first, approval: "Go?"}
  - {name: gate, approval: "Go on?", needs: [first]}
)"};
  CHECK(run.running() == names{"a[0]", "first"});
  run.take(run.graph_.hold("files are lost"));
  run.end("first", task_state::SUCCEEDED);  // `gate` may be asked, once this is over
  CHECK(run.running() == names{"a[0]"});
  run.end("a[0]", task_state::CANCELLED);
  CHECK(run.running() == names{"a[0]", "gate"});
  run.come_back();
  run.end("a[0]", task_state::SUCCEEDED);
  CHECK(run.running() == names{"a[1]", "gate"});
}

TEST_CASE("who answered an approval with no is known after a restart") {
  played_run run{R"(name: p
tasks:
  - {name: gate, approval: "Go?"}
  - {name: other, run: x}
  - name: b
    run: x
    needs: [gate, other]
    run_on: always
    env: {BY: "${{ tasks.gate.outputs.by }}"}
)"};
  run.end("gate", task_state::FAILED, {{"comment", ""}, {"by", "ann"}}, "rejected by ann");
  run.come_back();
  run.end("other", task_state::SUCCEEDED);
  CHECK(run.environment("b").at("BY") == "ann");
}

TEST_CASE("allowed failures are neither a fan-out that could not begin nor a reason to retry") {
  played_run run{R"(name: p
tasks:
  - {name: l, run: x}
  - {name: fan, run: x, for_each: "${{ tasks.l.outputs.typo }}", needs: [l], allow_failures: 1}
  - {name: pub, run: x, needs: [fan]}
)"};
  run.end("l", task_state::SUCCEEDED);
  CHECK(run.settled_.at("fan") == task_state::ERRORED);
  CHECK(run.settled_.at("pub") == task_state::UPSTREAM_FAILED);
  CHECK(run.graph_.outcome() == run_state::FAILED);

  played_run again{R"(name: p
tasks:
  - {name: lint, run: x, allow_failures: true}
  - {name: build, run: x, needs: [lint]}
  - {name: deploy, run: x, needs: [build]}
)"};
  again.end("lint", task_state::FAILED);
  again.end("build", task_state::SUCCEEDED);
  again.end("deploy", task_state::FAILED);
  again.retry();
  CHECK(again.running() == names{"deploy"});
}

TEST_CASE("a loss of files starts again what was good enough though some of it had failed") {
  played_run run{R"(name: p
tasks:
  - {name: fan, run: x, for_each: [1, 2], allow_failures: 1}
  - {name: c, run: x, needs: [fan]}
)"};
  run.end("fan[0]", task_state::SUCCEEDED);
  run.end("fan[1]", task_state::FAILED);
  CHECK(run.running() == names{"c"});
  run.lose_files();
  run.end("c", task_state::CANCELLED);
  CHECK(run.running() == names{"fan[0]", "fan[1]"});
}

TEST_CASE("a retry from a fan-out starts all of it again") {
  played_run run{"name: p\ntasks: [{name: a, run: x, for_each: [1, 2]}, {name: b, run: x}]\n"};
  run.end("a[0]", task_state::SUCCEEDED);
  run.end("a[1]", task_state::SUCCEEDED);
  run.end("b", task_state::SUCCEEDED);
  run.retry({0});
  CHECK(run.running() == names{"a[0]", "a[1]"});
}

TEST_CASE("outputs that were not written, and exit codes, are known to what comes after") {
  const std::string text = R"(name: p
tasks:
  - {name: a, run: x, outputs: {k: {default: none}, j: }}
  - {name: b, run: x, needs: [a], env: {K: "${{ tasks.a.outputs.k }}"}}
  - name: c
    run: x
    needs: [b, w]
    run_on: always
    when: "${{ tasks.b.exit_code == 3 }}"
  - {name: d, run: x, needs: [e], run_on: always, env: {K: "${{ tasks.e.outputs.typo }}"}}
  - {name: e, run: x}
  - {name: w, run: x}
)";
  played_run run{text};
  run.end("a", task_state::SUCCEEDED, {{"j", "1"}});
  run.end("e", task_state::FAILED, {}, {}, 7);
  CHECK(run.environment("b").at("K") == "none");
  CHECK(run.environment("d").at("K").empty());  // it did not succeed, so it need not have any
  run.end("d", task_state::SUCCEEDED);
  run.end("b", task_state::FAILED, {}, {}, 3);
  run.come_back();
  run.end("w", task_state::SUCCEEDED);
  CHECK(run.running() == names{"c"});
  run.end("c", task_state::SUCCEEDED);
  CHECK(run.ended_);

  played_run typo{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a], when: "${{ tasks.a.outputs.typo == 'x' }}"}
)"};
  typo.end("a", task_state::SUCCEEDED, {{"type", "x"}});
  CHECK(typo.settled_.at("b") == task_state::ERRORED);
  CHECK(typo.reasons_.at("b").starts_with("`when`: `tasks.a.outputs.typo` has no value here"));
}

TEST_CASE("a run goes on from its stored outcomes") {
  const std::string text = R"(name: p
tasks:
  - {name: a, run: x, outputs: [files]}
  - {name: b, run: x, for_each: "${{ tasks.a.outputs.files }}", needs: [a]}
  - {name: c, run: x, needs: [b]}
)";
  const auto definition = loaded(text);
  run_graph graph{definition, bind_params(definition, {}), "r"};
  graph.restore({0, 0}, task_state::SUCCEEDED, {{"files", "x\ny"}}, "");
  graph.restore({1, 0}, task_state::SUCCEEDED, {}, "");
  graph.restore({1, 1}, task_state::RUNNING, {}, "");
  auto effects = graph.begin();
  CHECK(effects.start.empty());
  CHECK_FALSE(effects.ended);
  effects = graph.ended({1, 1}, task_state::SUCCEEDED, {});
  REQUIRE(effects.start.size() == 1);
  CHECK(effects.start[0] == instance_id{2, 0});
}

TEST_CASE("a stopping run that comes back still waits for what it had started") {
  const auto definition = loaded(R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x}
  - {name: c, run: x, needs: [b]}
)");
  run_graph graph{definition, bind_params(definition, {}), "r"};
  graph.restore({0, 0}, task_state::SUCCEEDED, {}, "");
  graph.restore({1, 0}, task_state::RUNNING, {}, "");
  graph.restore_stopping("out of time", stop_reach::ordinary);
  auto effects = graph.begin();
  CHECK_FALSE(effects.ended);
  CHECK(effects.settled.empty());
  CHECK(effects.start.empty());
  effects = graph.ended({1, 0}, task_state::CANCELLED, {});
  REQUIRE(effects.settled.size() == 1);
  CHECK(effects.settled[0].id == instance_id{2, 0});
  CHECK(effects.settled[0].reason == "out of time");
  CHECK(effects.ended);
}

TEST_CASE("a retry after a restart keeps what succeeded") {
  const auto definition = loaded(R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
  - {name: c, run: x, needs: [b]}
)");
  run_graph graph{definition, bind_params(definition, {}), "r"};
  graph.restore({0, 0}, task_state::SUCCEEDED, {}, "");
  graph.restore({1, 0}, task_state::FAILED, {}, "");
  graph.restore({2, 0}, task_state::UPSTREAM_FAILED, {}, "");
  graph.restore_stopping("failed", stop_reach::everything, run_state::FAILED);
  CHECK(graph.begin().ended);
  CHECK(graph.outcome() == run_state::FAILED);
  std::vector<instance_id> forgotten;
  const auto effects = graph.retry(forgotten);
  CHECK(forgotten == std::vector<instance_id>{{1, 0}, {2, 0}});
  REQUIRE(effects.start.size() == 1);
  CHECK(effects.start[0] == instance_id{1, 0});
}

TEST_CASE("many failures at once cancel each other instance once") {
  std::string list = "1";
  for (int at = 1; at < 100; ++at) {
    list += ",1";
  }
  played_run run{"name: p\ntasks:\n  - {name: t, run: x, for_each: [" + list + "]}\n"};
  std::size_t cancels = 0;
  for (int at = 0; at < 100; ++at) {
    run.end("t[" + std::to_string(at) + "]", task_state::FAILED);
    cancels += run.cancelled_.size();
  }
  CHECK(run.ended_);
  CHECK(cancels == 99);
}

TEST_CASE("a fan-out that was skipped as a whole has no outputs at all") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x, outputs: [files]}
  - {name: b, run: x, for_each: "${{ tasks.a.outputs.files }}", needs: [a], outputs: [k],
     on_empty: skip}
  - {name: c, run: x, needs: [b], run_on: always, when: "${{ length(tasks.b.outputs.k) == 0 }}"}
)"};
  run.end("a", task_state::SUCCEEDED, {{"files", "[]"}});
  CHECK(run.settled_.at("b") == task_state::SKIPPED);
  CHECK(run.running() == names{"c"});
}

// a (finished) and b feed c, which feeds d; side has no part in what is left.
TEST_CASE("without files what is unfinished starts anew, with all that it needs") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
  - {name: side, run: x, needs: [a]}
  - {name: c, run: x, needs: [b]}
  - {name: d, run: x, needs: [c]}
  - {name: other, run: x}
)"};
  run.end("a", task_state::SUCCEEDED);
  run.end("b", task_state::SUCCEEDED);
  run.end("side", task_state::SUCCEEDED);
  CHECK(run.running() == names{"c", "other"});
  run.lose_files();
  CHECK(run.cancelled_ == names{"c", "other"});
  run.come_back();
  run.end("c", task_state::CANCELLED);
  CHECK(run.running() == names{"other"});
  run.come_back();
  run.end("other", task_state::SUCCEEDED);  // it was faster, and nobody needs its files
  CHECK(run.running() == names{"a"});
  run.come_back();
  for (const auto* each : {"a", "b", "c", "d"}) {
    CHECK(run.running() == names{each});
    run.end(each, task_state::SUCCEEDED);
  }
  CHECK(run.ended_);
  CHECK(run.graph_.outcome() == run_state::SUCCEEDED);
}

TEST_CASE("without files a fan-out goes on with what it has left, and its join wants all") {
  const std::string fan = R"(name: p
tasks:
  - {name: t, run: x, for_each: [0, 1, 2], fail_fast: false}
)";
  played_run alone{fan};
  alone.end("t[0]", task_state::SUCCEEDED);
  alone.end("t[1]", task_state::FAILED);
  alone.lose_files();
  alone.end("t[2]", task_state::CANCELLED);
  CHECK(alone.running() == names{"t[2]"});
  alone.end("t[2]", task_state::SUCCEEDED);
  CHECK(alone.ended_);

  played_run joined{fan + "  - {name: sum, run: x, needs: [t]}\n"};
  joined.end("t[0]", task_state::SUCCEEDED);
  joined.lose_files();
  joined.end("t[1]", task_state::CANCELLED);
  joined.end("t[2]", task_state::CANCELLED);
  CHECK(joined.running() == names{"t[0]", "t[1]", "t[2]"});
}

TEST_CASE("what may not be repeated is lost with its files, if these are needed") {
  played_run run{R"(name: p
tasks:
  - {name: once, run: x, retry: never}
  - {name: end, run: x, needs: [once]}
  - {name: alone, run: x, retry: never}
)"};
  run.end("once", task_state::SUCCEEDED);
  run.end("alone", task_state::SUCCEEDED);
  run.lose_files();
  run.end("end", task_state::CANCELLED);
  CHECK(run.settled_.at("once") == task_state::LOST);
  CHECK(run.settled_.at("end") == task_state::UPSTREAM_FAILED);
  CHECK_FALSE(run.settled_.contains("alone"));
  CHECK(run.ended_);
}

TEST_CASE("a run that is stopped and loses its files only tidies up") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
  - {name: tidy, run: x, needs: [b], run_on: always}
)"};
  run.end("a", task_state::SUCCEEDED);
  run.lose_files();
  run.stop();
  run.end("b", task_state::CANCELLED);
  CHECK(run.running() == names{"tidy"});
  run.end("tidy", task_state::SUCCEEDED);
  CHECK(run.ended_);
}

TEST_CASE("a retry of a run that has lost its files also starts what that needs") {
  played_run run{R"(name: p
tasks:
  - {name: a, run: x}
  - {name: b, run: x, needs: [a]}
  - {name: c, run: x, needs: [a]}
)"};
  run.end("a", task_state::SUCCEEDED);
  run.end("b", task_state::SUCCEEDED);
  run.end("c", task_state::FAILED);
  std::vector<instance_id> forgotten;
  run.take(run.graph_.retry(forgotten, run_graph::files::lost));
  CHECK(run.running() == names{"a"});
  CHECK(forgotten == std::vector<instance_id>{{0, 0}, {2, 0}});
}

// Goal: whatever the graph and the order of ends, every task ends, and a restart at any point
// changes nothing. Method: random graphs in which a test plays the tasks, stops, retries and
// rebuilds the graph from its rows.
TEST_CASE("random graphs always end, through restarts, stops and retries") {
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    std::mt19937 random{seed};
    const auto below = [&](std::uint32_t limit) { return random() % limit; };
    std::string text = "name: p\ntasks:\n";
    const auto count = 1 + below(12);
    constexpr std::array<const char*, 5> rules{"success", "failure", "always", "any", "no_failure"};
    std::vector<bool> in_threes(count);
    for (std::uint32_t at = 0; at < count; ++at) {
      const auto* rule = rules[below(5)];
      const auto extra = below(11);
      in_threes[at] = extra >= 3 && extra <= 5;
      text += "  - {name: t" + std::to_string(at) + ", run: x, run_on: " + rule;
      std::string needs;
      for (std::uint32_t need = 0; need < at; ++need) {
        if (below(3) == 0) {
          const auto name = "t" + std::to_string(need);
          const auto of_element = in_threes[at] && in_threes[need] && rule == rules[0];
          needs += (needs.empty() ? "" : ", ") +
                   (of_element ? "{task: " + name + ", instances: same}" : name);
        }
      }
      constexpr std::array<const char*, 11> extras{"",
                                                   "",
                                                   "",
                                                   ", for_each: [1, 2, 3]",
                                                   ", for_each: [1, 2, 3], max_parallel: 1",
                                                   ", for_each: [1, 2, 3], fail_fast: false",
                                                   ", for_each: [1, 2], when: '${{ item == 2 }}'",
                                                   ", when: '${{ !failure() }}'",
                                                   ", for_each: []",
                                                   ", for_each: [], on_empty: skip",
                                                   ", for_each: [], on_empty: fail"};
      constexpr std::array<const char*, 5> hooks{"", "", ", on_failure: x, finally: x",
                                                 ", on_success: x, on_cancel: x", ", finally: x"};
      text += ", needs: [" + needs + "]" + extras[extra] + hooks[below(5)] + "}\n";
    }
    constexpr std::array<const char*, 3> of_run{"", "finally: x\n",
                                                "on_failure: x\non_success: x\nfinally: x\n"};
    text += of_run[below(3)];
    text += below(4) == 0 ? "fail_fast: true\n" : "";
    CAPTURE(seed);
    CAPTURE(text);
    played_run run{text};
    int retries = 0;
    for (int step = 0; !run.ended_ || retries < 2; ++step) {
      REQUIRE(step < 1000);
      run.come_back();
      if (run.ended_) {
        ++retries;
        run.retry();
        continue;
      }
      if (below(20) == 0 && !run.stopping_) {
        run.stop(below(4) == 0 ? stop_reach::everything : stop_reach::ordinary);
        continue;
      }
      if (below(10) == 0 && run.stopping_ == stop_reach::ordinary) {
        run.stop(stop_reach::everything);
        continue;
      }
      if (below(15) == 0 && !run.graph_.held()) {
        run.lose_files();
        continue;
      }
      REQUIRE_FALSE(run.running_.empty());
      auto at = run.running_.begin();
      std::advance(at, below(static_cast<std::uint32_t>(run.running_.size())));
      const auto how = below(4);
      run.end(at->first,
              how == 0                        ? task_state::FAILED
              : run.graph_.held() && how != 1 ? task_state::CANCELLED
                                              : task_state::SUCCEEDED,
              {}, {}, no_exit_code, below(2) == 0 ? attempted::yes : attempted::no);
    }
    CHECK(run.running_.empty());
  }
}

TEST_CASE("a fan-out of forty thousand costs the same per event as one of two thousand") {
  const auto played = [](int width) {
    std::string text = "name: p\ntasks:\n  - {name: t, run: x, for_each: [";
    for (int at = 0; at < width; ++at) {
      text += at == 0 ? "1" : ",1";
    }
    const auto definition = loaded(text + "]}\n");
    run_graph graph{definition, bind_params(definition, {}), "r"};
    const auto start = std::clock();  // of processor time: other processes do not count
    auto effects = graph.begin();
    CHECK(effects.start.size() == start_window);
    std::deque<instance_id> left(effects.start.begin(), effects.start.end());
    int ended = 0;
    while (!left.empty()) {
      effects = graph.ended(left.front(), task_state::SUCCEEDED, {});
      left.pop_front();
      left.insert(left.end(), effects.start.begin(), effects.start.end());
      ++ended;
    }
    CHECK(ended == width);
    CHECK(effects.ended);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / width;
  };
  // The best of a few: other processes take the caches away. Work that grew with the width would
  // cost twenty times as much.
  const auto best = [&](int width) {
    return std::min({played(width), played(width), played(width)});
  };
  const auto narrow = best(2'000);
  CHECK(best(40'000) < narrow * 10);
}

}  // namespace
}  // namespace millrace::actors
