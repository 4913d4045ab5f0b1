// SPDX-License-Identifier: MIT
// Runs that wait for their turn, pauses, and versions that come back.
#include <string>
#include <vector>

#include "actors/schedule/fixture.h"
#include "fixture.h"
#include "pipeline/names.h"
#include "pipeline/run_turns.h"

namespace millrace::actors {

using runtime::errc;
using runtime::ref;
using schemas::RunState;

namespace {

// Goes on until a person says so, or until it is stopped.
constexpr std::string_view gated = R"(
tasks:
  - {name: gate, approval: "Go on?"}
  - {name: after, needs: [gate], run: "true"}
)";

std::string gated_pipeline(const std::string& keys) {
  return "name: gated\nparams: {to: eu}\n" + keys + std::string{gated};
}

schemas::run_interface::status_results status_of(node& here, const std::string& run) {
  auto status = here.silo->call(ref<schemas::Run>(run).status());
  REQUIRE(status);
  return *std::move(status);
}

bool waits(node& here, const std::string& run) {
  return status_of(here, run).run().getQueued();
}

std::string reason_of(node& here, const std::string& run) {
  return text_of(status_of(here, run).run().getReason());
}

void say_yes(node& here, const std::string& run) {
  here.wait_until_running(run, "gate");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).decide("gate", true, "", "ann")));
}

schemas::pipeline_interface::activity_results activity(node& here, const std::string& pipeline) {
  auto told = here.silo->call(ref<schemas::Pipeline>("default/" + pipeline).activity());
  REQUIRE(told);
  return *std::move(told);
}

schemas::pipeline_interface::describe_results described(node& here, const std::string& pipeline) {
  auto told = here.silo->call(ref<schemas::Pipeline>("default/" + pipeline).describe(0));
  REQUIRE(told);
  return *std::move(told);
}

}  // namespace

TEST_CASE("turns are taken in the order of submission, in each group") {
  run_turns turns;
  turns.add("a", "x", 1, false);
  turns.add("c", "x", 3, true);
  turns.add("b", "x", 2, true);
  turns.add("d", "y", 4, true);
  CHECK(turns.waiting() == 3);
  CHECK(turns.has_to_wait("x", 1));
  CHECK(turns.has_to_wait("x", 2));  // behind those that wait already
  CHECK(turns.count("x") == 3);
  CHECK(turns.count("z") == 0);
  CHECK_FALSE(turns.has_to_wait("z", 1));
  CHECK(turns.pushed_out("x", 1) == std::vector<std::string>{"a", "b", "c"});
  CHECK(turns.pushed_out("x", 3) == std::vector<std::string>{"a"});
  CHECK(turns.pushed_out("x", 4).empty());
  CHECK(turns.take(1, 10) == std::vector<std::string>{"d"});
  turns.remove("a");
  turns.remove("a");
  CHECK(turns.take(1, 10) == std::vector<std::string>{"b"});
  turns.add("e", "x", 5, true);
  CHECK(turns.take(std::nullopt, 1) == std::vector<std::string>{"c"});
  CHECK(turns.take(std::nullopt, 10) == std::vector<std::string>{"e"});
  CHECK(turns.waiting() == 0);
  turns.add("e", "x", 5, true);  // as of a record that is read again
  CHECK(turns.waiting() == 1);
}

TEST_CASE("one run at a time: the others wait for their turn, through a restart") {
  temporary_folder data;
  const auto text = gated_pipeline("concurrency: {group: \"to-${{ params.to }}\", limit: 1}\n");
  std::vector<std::string> runs;
  {
    node here{data.path};
    for (int count = 0; count < 3; ++count) {
      runs.push_back(here.submit(text));
    }
    const auto elsewhere = here.submit(text, R"({"to": "us"})");
    here.wait_until_running(runs[0], "gate");
    here.wait_until_running(elsewhere, "gate");
    CHECK_FALSE(waits(here, runs[0]));
    CHECK(waits(here, runs[1]));
    CHECK(reason_of(here, runs[1]) ==
          "waits for its turn: at most 1 run goes on at a time in group 'to-eu'");
    CHECK(text_of(here.task(runs[1], "gate").task().getReason()) == reason_of(here, runs[1]));
    CHECK(activity(here, "gated").active_runs() == 4);
    CHECK(activity(here, "gated").queued_runs() == 2);
    REQUIRE(here.silo->call(ref<schemas::Run>(elsewhere).cancel("enough", false)));
    CHECK(here.wait(elsewhere) == RunState::CANCELLED);
    CHECK(waits(here, runs[1]));
  }
  node here{data.path};
  CHECK(waits(here, runs[1]));
  // One that waits can be cancelled, and the next takes its place.
  REQUIRE(here.silo->call(ref<schemas::Run>(runs[1]).cancel("not this one", false)));
  CHECK(here.wait(runs[1]) == RunState::CANCELLED);
  CHECK(waits(here, runs[2]));
  say_yes(here, runs[0]);
  CHECK(here.wait(runs[0]) == RunState::SUCCEEDED);
  say_yes(here, runs[2]);
  CHECK(here.wait(runs[2]) == RunState::SUCCEEDED);
  node::eventually([&] { return activity(here, "gated").active_runs() == 0; });
}

TEST_CASE("a run too many is refused, or takes the place of the oldest") {
  temporary_folder data;
  node here{data.path};
  const auto first = here.submit(gated_pipeline("concurrency: {limit: 1, on_limit: reject}\n"));
  here.wait_until_running(first, "gate");
  schemas::pipeline_interface::submit_params params;
  params.build().setParams("{}");
  const auto refused =
      here.silo->call(ref<schemas::Pipeline>("default/gated").submit(std::move(params)));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::conflict);
  CHECK(refused.error().text().find("at most 1 run goes on at a time of pipeline 'gated'") !=
        std::string::npos);

  const auto newest = gated_pipeline("concurrency: {limit: 1, on_limit: cancel_oldest}\n");
  const auto second = here.submit(newest);
  CHECK(here.wait(first) == RunState::CANCELLED);
  CHECK(reason_of(here, first).find("run " + second + " took its place") == 0);
  here.wait_until_running(second, "gate");
  // More runs may go on: those that wait begin with the new version.
  const auto two = gated_pipeline("concurrency: 1\n");
  const auto third = here.submit(two);
  CHECK(waits(here, third));
  const auto fourth = here.submit(gated_pipeline("concurrency: 2\n"));
  here.wait_until_running(third, "gate");
  CHECK(waits(here, fourth));
}

TEST_CASE("a retry does not wait, and counts") {
  temporary_folder data;
  node here{data.path};
  const auto text = gated_pipeline("concurrency: 1\n");
  const auto first = here.submit(text);
  here.wait_until_running(first, "gate");
  REQUIRE(here.silo->call(ref<schemas::Run>(first).decide("gate", false, "", "ann")));
  CHECK(here.wait(first) == RunState::FAILED);
  REQUIRE(here.silo->call(ref<schemas::Run>(first).retry()));
  here.wait_until_running(first, "gate");
  node::eventually([&] { return activity(here, "gated").active_runs() == 1; });
  const auto second = here.submit(text);
  CHECK(waits(here, second));
  say_yes(here, first);
  CHECK(here.wait(first) == RunState::SUCCEEDED);
  here.wait_until_running(second, "gate");
}

TEST_CASE("runs that wait begin after a crash in the middle of a resume") {
  scheduled p;
  p.apply(lasting);
  REQUIRE(p.silo.call(p.pipeline().pause("")));
  constexpr std::uint32_t more = 5;  // than one commit lets begin
  runtime::rng random;
  for (std::uint32_t run = 0; run < 1'000 + more; ++run) {
    schemas::pipeline_interface::submit_new_params params;
    params.build().setRun(make_run_id(p.silo.clock().wall(), random).c_str());
    params.build().setParams("{}");
    REQUIRE(p.silo.call(p.pipeline().submit_new(std::move(params))));
  }
  const auto queued = [&] {
    const auto told = p.silo.call(p.pipeline().activity());
    REQUIRE(told);
    return told->queued_runs();
  };
  CHECK(queued() == 1'000 + more);
  REQUIRE(p.silo.call(p.pipeline().resume()));
  CHECK(queued() == more);  // the clock stands still
  p.silo.crash();
  p.silo.start();
  CHECK(queued() == more);
  p.silo.advance(std::chrono::seconds{1});
  CHECK(queued() == 0);
}

TEST_CASE("a run that is ended while it waits does nothing, and has nothing to retry") {
  temporary_folder data;
  node here{data.path};
  const std::string text =
      "name: p\nconcurrency: 1\ntasks:\n  - {name: gate, approval: 'Go on?'}\n"
      "  - {name: tidy, run: 'true', run_on: always}\n";
  const auto first = here.submit(text);
  here.wait_until_running(first, "gate");
  const auto second = here.submit(text);
  REQUIRE(here.silo->call(ref<schemas::Run>(second).cancel("not now", false)));
  CHECK(here.wait(second) == RunState::CANCELLED);
  CHECK(here.task(second, "tidy").task().getState() == schemas::TaskState::CANCELLED);
  const auto again = here.silo->call(ref<schemas::Run>(second).retry());
  REQUIRE_FALSE(again);
  CHECK(again.error().text().find("`rerun` starts a new one") != std::string::npos);
}

TEST_CASE("a pause does not let more wait than `concurrency` allows") {
  temporary_folder data;
  node here{data.path};
  const auto submit = [&](const std::string& pipeline, const std::string& to) {
    schemas::pipeline_interface::submit_params params;
    params.build().setParams(("{\"to\": \"" + to + "\"}").c_str());
    return here.silo->call(ref<schemas::Pipeline>("default/" + pipeline).submit(std::move(params)));
  };
  const auto refuses = here.apply(gated_pipeline("concurrency: {on_limit: reject}\n"));
  REQUIRE(here.silo->call(refuses.pause("")));
  REQUIRE(submit("gated", "eu"));
  CHECK(submit("gated", "eu").error().code() == errc::conflict);

  const auto newest = here.apply(
      "name: newest\nparams: {to: eu}\nconcurrency: {group: \"${{ params.to }}\", on_limit: "
      "cancel_oldest}\ntasks: [{name: gate, approval: 'Go on?'}]\n");
  REQUIRE(here.silo->call(newest.pause("")));
  const auto old = submit("newest", "eu");
  REQUIRE(old);
  REQUIRE(submit("newest", "eu"));
  CHECK(here.wait(std::string{old->run()}) == RunState::CANCELLED);
  const auto large = submit("newest", std::string(300, 'x'));
  REQUIRE_FALSE(large);
  CHECK(large.error().text().find("the group of `concurrency` has 300 bytes, and may have 255") ==
        0);
}

TEST_CASE("a paused pipeline begins nothing until it is resumed") {
  temporary_folder data;
  const auto text = gated_pipeline("timeout: 1h\n");
  std::string run;
  {
    node here{data.path};
    const auto before = here.submit(text);
    const auto pipeline = ref<schemas::Pipeline>("default/gated");
    CHECK(here.silo->call(ref<schemas::Pipeline>("default/nobody").pause("ann")).error().code() ==
          errc::not_found);
    REQUIRE(here.silo->call(pipeline.pause("ann")));
    run = here.submit(text);
    CHECK(waits(here, run));
    CHECK(reason_of(here, run) == "waits: when it came its pipeline was paused by ann");
    CHECK(activity(here, "gated").paused());
    CHECK(text_of(activity(here, "gated").read().getPausedBy()) == "ann");
    say_yes(here, before);
    CHECK(here.wait(before) == RunState::SUCCEEDED);
    CHECK(waits(here, run));
  }
  node here{data.path};
  CHECK(waits(here, run));
  REQUIRE(here.silo->call(ref<schemas::Pipeline>("default/gated").resume()));
  say_yes(here, run);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
}

TEST_CASE("nothing of a paused run starts, through a restart; a cancel ends the pause") {
  temporary_folder data;
  const std::string text = R"(name: steps
tasks:
  - {name: gate, approval: "Go on?"}
  - {name: other, approval: "This too?"}
  - {name: after, needs: [gate], run: "true"}
  - {name: tidy, needs: [gate], run: "true", run_on: always}
)";
  std::string run;
  std::string ended;
  {
    node here{data.path};
    run = here.submit(text);
    ended = here.submit(text);
    for (const auto& each : {run, ended}) {
      here.wait_until_running(each, "gate");
      REQUIRE(here.silo->call(ref<schemas::Run>(each).pause("ann")));
      CHECK(status_of(here, each).run().getPaused());
      CHECK(reason_of(here, each) == "paused by ann");
      REQUIRE(here.silo->call(ref<schemas::Run>(each).decide("gate", true, "", "ann")));
      CHECK(here.task(each, "after").task().getState() == schemas::TaskState::WAITING);
    }
  }
  node here{data.path};
  CHECK(here.task(run, "after").task().getState() == schemas::TaskState::WAITING);
  CHECK(text_of(here.task(run, "after").task().getReason()) == "paused by ann");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).resume()));
  REQUIRE(here.follow(run, [](auto event) {
    return event.getName() == "after" && event.getState() == schemas::TaskState::SUCCEEDED;
  }));
  REQUIRE(here.silo->call(ref<schemas::Run>(run).decide("other", true, "", "ann")));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(here.silo->call(ref<schemas::Run>(run).pause("ann")).error().code() ==
        errc::failed_precondition);

  REQUIRE(here.silo->call(ref<schemas::Run>(ended).cancel("enough", false)));
  CHECK(here.wait(ended) == RunState::CANCELLED);
  CHECK(here.task(ended, "after").task().getState() == schemas::TaskState::CANCELLED);
  CHECK(here.task(ended, "tidy").task().getState() == schemas::TaskState::SUCCEEDED);
}

TEST_CASE("a run is begun with an earlier version, and a pipeline goes back to one") {
  temporary_folder data;
  node here{data.path};
  const auto version = [](const std::string& command) {
    return "name: v\nrevert: {after: 2}\ntasks: [{name: a, run: '" + command + "'}]\n";
  };
  const auto pipeline = ref<schemas::Pipeline>("default/v");
  const auto bad = here.submit(version("exit 3"));
  CHECK(here.wait(bad) == RunState::FAILED);
  const auto unsure = here.silo->call(pipeline.rollback(0));
  REQUIRE_FALSE(unsure);
  CHECK(unsure.error().code() == errc::failed_precondition);
  const auto good = here.submit(version("true"));
  CHECK(here.wait(good) == RunState::SUCCEEDED);
  node::eventually([&] { return activity(here, "v").good_version() == 2; });

  const auto submit = [&](std::uint32_t number) {
    schemas::pipeline_interface::submit_params params;
    params.build().setParams("{}");
    params.build().setVersion(number);
    params.build().setRerunOf(bad.c_str());
    return here.silo->call(pipeline.submit(std::move(params)));
  };
  const auto again = submit(1);
  REQUIRE(again);
  CHECK(again->version() == 1);
  CHECK(here.wait(std::string{again->run()}) == RunState::FAILED);
  CHECK(text_of(status_of(here, std::string{again->run()}).run().getRerunOf()) == bad);
  CHECK(submit(7).error().code() == errc::not_found);

  // An old version that fails says nothing of the latest.
  CHECK(described(here, "v").version() == 2);
  const auto third = version("exit 4");
  CHECK(here.wait(here.submit(third)) == RunState::FAILED);
  CHECK(described(here, "v").version() == 3);
  CHECK(here.wait(here.submit(third)) == RunState::FAILED);
  node::eventually([&] { return described(here, "v").version() == 4; });
  CHECK(text_of(described(here, "v").read().getOrigin()) ==
        "reverted: version 3 failed 2 times in a row; version 2 again");
  const auto latest = submit(0);
  REQUIRE(latest);
  CHECK(here.wait(std::string{latest->run()}) == RunState::SUCCEEDED);

  const auto back = here.silo->call(pipeline.rollback(3));
  REQUIRE(back);
  CHECK(back->version() == 5);
  CHECK(text_of(described(here, "v").read().getOrigin()) == "rolled back: version 3 again");
  CHECK(here.wait(std::string{submit(2)->run()}) == RunState::SUCCEEDED);
  const auto same = here.silo->call(pipeline.rollback(3));
  REQUIRE_FALSE(same);
  CHECK(same.error().code() == errc::failed_precondition);
  CHECK(here.silo->call(pipeline.rollback(9)).error().code() == errc::not_found);
}

TEST_CASE("runs that fail, and have none that succeeded before, are left as they are") {
  temporary_folder data;
  node here{data.path};
  const std::string text = "name: v\nrevert: {after: 1}\ntasks: [{name: a, run: 'exit 3'}]\n";
  CHECK(here.wait(here.submit(text)) == RunState::FAILED);
  CHECK(here.wait(here.submit(text)) == RunState::FAILED);
  CHECK(described(here, "v").version() == 1);
}

}  // namespace millrace::actors
