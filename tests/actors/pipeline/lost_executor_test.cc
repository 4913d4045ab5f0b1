// SPDX-License-Identifier: MIT
// Runs on several executors, of which one is cut off or dies.
#include <fstream>

#include "actors/pipeline/several_executors.h"

namespace millrace::actors {
namespace {

using schemas::AttemptEnd;
using schemas::RunState;
using schemas::TaskState;
using testing::several_executors;
using namespace std::chrono_literals;

const std::string a = "silo/a";
const std::string b = "silo/b";

std::size_t lines_of(const std::filesystem::path& path) {
  std::ifstream file{path};
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>{file}, {}, '\n'));
}

// A task that nobody but SIGKILL or the test ends, and which executor starts it.
std::string stubborn(const several_executors& lab, const std::string& more = {}) {
  const auto folder = lab.folder.path.string();
  return "{name: t, run: \"trap '' TERM; echo start >> " + folder + "/starts; until test -e " +
         folder + "/go; do sleep 0.02; done\"" + more + "}";
}
void wait_for_starts(const several_executors& lab, std::size_t count) {
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == count; });
}

TEST_CASE("the tasks of a run share a silo, and runs share the silos") {
  several_executors lab{{"a", "b"}, 1};
  const std::string text =
      "name: p\ntasks:\n  - {name: t, for_each: [0, 1, 2, 3], run: \"echo x >> all\"}\n"
      "  - {name: sum, needs: [t], run: \"test $(wc -l < all) = 4\"}\n";
  const std::array runs{lab.submit(text), lab.submit(text), lab.submit(text)};
  for (const auto& run : runs) {
    CHECK(lab.wait(run) == RunState::SUCCEEDED);
    std::set<std::string> used;
    for (const auto* name : {"t[0]", "t[1]", "t[2]", "t[3]", "sum"}) {
      used.insert(lab.task(run, name).attempts()[0].getExecutor());
    }
    CHECK(used.size() == 1);
  }
}

TEST_CASE("an executor that is cut off ends by itself what it runs, and joins again") {
  several_executors lab{{"a", "b"}, 1};
  const auto run = lab.submit("name: p\nworkspace: task\ntasks:\n  - " + stubborn(lab) + "\n");
  wait_for_starts(lab, 1);
  lab.wait_until(run, "t", TaskState::RUNNING);
  REQUIRE(lab.task(run, "t").attempts()[0].getExecutor() == a.c_str());
  lab.cut_off(a);
  lab.pass(lab.timing.length - lab.timing.renewed_every, {b});
  CHECK(lab.task(run, "t").attempts().size() == 1);
  CHECK(lab.members.at(a)->attempts().processes().stats().running == 1);
  lab.pass(lab.timing.renewed_every, {b});
  node::eventually([&] { return lab.members.at(a)->attempts().processes().stats().running == 0; });
  node::eventually([&] { return lab.task(run, "t").attempts().size() == 2; });
  CHECK(lab.slots() == 2);  // the pool does not know yet, and gives it the next one
  lab.pass(2s, {b});
  wait_for_starts(lab, 2);
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  const auto task = lab.task(run, "t");
  const auto count = task.attempts().size();
  REQUIRE((count == 2 || count == 3));  // the second one may have gone to the lost one, in vain
  CHECK(task.attempts()[0].getEnd() == AttemptEnd::LOST);
  CHECK(task.attempts()[count - 1].getExecutor() == b.c_str());
  CHECK(lab.slots() == 1);
  lab.connect(a);
  node::eventually([&] {
    lab.pass(2s, {b});
    return lab.slots() == 2;
  });
}

TEST_CASE("an executor that died is lost when its lease is over, and not before") {
  several_executors lab{{"a", "b"}, 1};
  const auto run = lab.submit("name: p\nworkspace: task\ntasks:\n  - " + stubborn(lab) + "\n");
  const auto never = lab.submit(
      "name: q\nworkspace: task\ntasks:\n  - {name: n, retry: never, run: \"sleep 600\"}\n");
  wait_for_starts(lab, 1);
  lab.wait_until(run, "t", TaskState::RUNNING);  // from now on it is known where
  lab.wait_until(never, "n", TaskState::RUNNING);
  const auto of_a = lab.task(run, "t").attempts()[0].getExecutor() == a.c_str();
  const auto& dead = of_a ? a : b;
  const auto& alive = of_a ? b : a;
  lab.members.at(dead)->die();
  lab.pass(10s, {alive});
  CHECK(lab.task(run, "t").state() == TaskState::RUNNING);
  CHECK(lab.slots() == 2);
  lab.pass(2s, {alive});
  node::eventually([&] { return lab.slots() == 1; });
  node::eventually([&] { return lab.task(run, "t").attempts().size() == 2; });
  CHECK(lab.task(run, "t").attempts()[0].getEnd() == AttemptEnd::LOST);
  lab.members.at(alive)->front().cancel(attempt_token(never + "/n", 1));
  CHECK(lab.wait(never) == RunState::FAILED);
  wait_for_starts(lab, 2);
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
}

TEST_CASE("an attempt that may never be repeated is lost with its executor") {
  several_executors lab{{"a", "b"}, 1};
  const auto run =
      lab.submit("name: p\nworkspace: task\ntasks:\n  - " + stubborn(lab, ", retry: never") + "\n");
  wait_for_starts(lab, 1);
  lab.wait_until(run, "t", TaskState::RUNNING);
  lab.members.at(a)->die();
  lab.pass(12s, {b});
  CHECK(lab.wait(run) == RunState::FAILED);
  CHECK(lab.task(run, "t").state() == TaskState::LOST);
  CHECK(lines_of(lab.folder.path / "starts") == 1);
}

// Goal: no task runs without the files that it needs, and a person reads why others ran twice.
TEST_CASE("a run whose workspace is lost starts again elsewhere what it needs, and says so") {
  several_executors lab{{"a", "b"}};
  const auto folder = lab.folder.path.string();
  const auto run =
      lab.submit("name: p\ntasks:\n  - {name: prepare, run: \"echo x > file; echo x >> " + folder +
                 "/prepared\"}\n  - {name: side, needs: [prepare], run: \"echo x >> " + folder +
                 "/sides\"}\n  - " + stubborn(lab, ", needs: [prepare]") +
                 "\n  - {name: last, needs: [t], run: \"test -e file\"}\n");
  wait_for_starts(lab, 1);
  lab.wait_until(run, "t", TaskState::RUNNING);
  lab.wait_until(run, "side", TaskState::SUCCEEDED);
  const std::string dead{lab.task(run, "t").attempts()[0].getExecutor()};
  lab.members.at(dead)->die();
  lab.pass(12s, {dead == a ? b : a});
  wait_for_starts(lab, 2);
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(lines_of(lab.folder.path / "prepared") == 2);
  CHECK(lines_of(lab.folder.path / "sides") == 1);
  const auto events = lab.silo->call(runtime::ref<schemas::Run>(run).events(0, 0, 0));
  REQUIRE(events);
  std::string said;
  for (auto event : events->events()) {
    if (event.getName().size() == 0 && event.getReason().size() > 0) {
      said += event.getReason().cStr();
    }
  }
  CHECK(said ==
        "the workspace on '" + dead + "' was lost with it; 1 finished task starts again: prepare");
  const auto status = lab.silo->call(runtime::ref<schemas::Run>(run).status());
  REQUIRE(status);
  CHECK(status->run().getTasks().getSucceeded() == 4);
  CHECK(status->run().getTasks().getTotal() == 4);
}

TEST_CASE("a retry of a run whose workspace was lost since starts what its failed tasks need") {
  several_executors lab{{"a", "b"}};
  const auto folder = lab.folder.path.string();
  const auto run =
      lab.submit("name: p\ntasks:\n  - {name: prepare, run: \"echo x > file; echo x >> " + folder +
                 "/prepared\"}\n"
                 "  - {name: t, needs: [prepare], run: \"test -e file && test -e " +
                 folder + "/go\"}\n");
  CHECK(lab.wait(run) == RunState::FAILED);
  const std::string dead{lab.task(run, "t").attempts()[0].getExecutor()};
  lab.members.at(dead)->die();
  lab.pass(12s, {dead == a ? b : a});
  node::eventually([&] { return lab.slots() == 2; });
  std::ofstream{lab.folder.path / "go"};
  const auto retried = lab.silo->call(runtime::ref<schemas::Run>(run).retry());
  REQUIRE(retried);
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(lines_of(lab.folder.path / "prepared") == 2);
}

// Its memory of renewals is gone: it must wait as if each had just been made.
TEST_CASE("a pool that has moved waits anew before it calls an executor lost") {
  several_executors lab{{"a", "b"}, 1};
  const auto run = lab.submit("name: p\nworkspace: task\ntasks:\n  - " + stubborn(lab) + "\n");
  wait_for_starts(lab, 1);
  lab.wait_until(run, "t", TaskState::RUNNING);
  lab.members.at(a)->die();
  lab.pass(8s, {b});
  REQUIRE(lab.silo->deactivate({"pool", std::string{pool_key}}));
  node::eventually([&] { return lab.silo->activations("pool")->items.empty(); });
  CHECK(lab.slots() == 2);
  lab.pass(10s, {b});
  CHECK(lab.slots() == 2);
  lab.pass(2s, {b});
  node::eventually([&] { return lab.slots() == 1; });
  wait_for_starts(lab, 2);
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
}

// --- what a task hears of the start of its attempt -----------------------------------------------

schemas::AttemptReport::Builder tells(schemas::task_interface::attempt_finished_params& params,
                                      std::uint32_t number, AttemptEnd end) {
  auto report = params.build().initReport();
  report.setNumber(number);
  report.setEnd(end);
  return report;
}

// A task that no executor takes, so that the test may speak for one.
std::string unwanted(const std::string& more) {
  return "name: u\ntasks: [{name: t, run: first, resources: {gpu: 1}, " + more + "}]\n";
}

TEST_CASE("the news of a start arrives in the end, and the command that runs is not overdue") {
  std::atomic<int> refusals{3};
  several_executors lab{{"a"}, 1};
  lab.refuse([&](const std::string& call, runtime::incoming_call&) {
    return call == "task.attempt_started" && --refusals >= 0;
  });
  const auto run = lab.submit("name: p\nworkspace: task\ntasks:\n  - " +
                              stubborn(lab, ", start_timeout: 2m") + "\n");
  wait_for_starts(lab, 1);
  node::eventually([&] {
    lab.pass(2s, {a});
    return refusals < 0;
  });
  lab.wait_until(run, "t", TaskState::RUNNING);
  lab.pass(122s, {a});
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(refusals == -1);
  CHECK(lab.task(run, "t").attempts().size() == 1);
}

TEST_CASE("news of a start that nobody takes ends with the attempt, whose end does not wait") {
  std::atomic<int> told{0};
  several_executors lab{{"a"}, 1};
  lab.refuse([&](const std::string& call, runtime::incoming_call&) {
    return call == "task.attempt_started" && ++told > 0;
  });
  const auto run = lab.submit("{name: p, tasks: [{name: t, run: 'true'}]}");
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  node::eventually([&] { return told > 0; });
  const auto before = told.load();
  lab.pass(4s, {a});
  CHECK(told == before);
}

TEST_CASE("after an attempt that was lost, later ones run what is for later ones") {
  several_executors lab{{"a"}, 1};
  const auto run = lab.submit(unwanted("retry: {max_attempts: 9, command: [later]}"));
  const auto task = runtime::ref<schemas::Task>(run + "/t");
  const auto command = [&] { return std::string{lab.task(run, "t").command()[0]}; };
  lab.wait_until(run, "t", TaskState::QUEUED);
  CHECK(command() != "later");
  const auto end = [&](std::uint32_t number, AttemptEnd how) {
    schemas::task_interface::attempt_finished_params params;
    tells(params, number, how);
    REQUIRE(lab.silo->call(task.attempt_finished(std::move(params))));
    return command();
  };
  CHECK(end(1, AttemptEnd::DROPPED) != "later");  // it never started
  CHECK(end(2, AttemptEnd::LOST) == "later");
  CHECK(end(3, AttemptEnd::DROPPED) == "later");
}

TEST_CASE("attempts that are given back do not lengthen the wait for a start") {
  several_executors lab{{"a"}, 1};
  const auto run = lab.submit(unwanted("start_timeout: 10s"));
  lab.wait_until(run, "t", TaskState::QUEUED);
  lab.pass(6s, {a});
  schemas::task_interface::attempt_finished_params params;
  tells(params, 1, AttemptEnd::DROPPED);
  REQUIRE(
      lab.silo->call(runtime::ref<schemas::Task>(run + "/t").attempt_finished(std::move(params))));
  CHECK(lab.task(run, "t").state() == TaskState::QUEUED);
  lab.pass(6s, {a});
  CHECK(lab.wait(run) == RunState::FAILED);
  CHECK(lab.task(run, "t").state() == TaskState::TIMED_OUT);
  CHECK(lab.task(run, "t").attempts().size() == 2);
}

// Method: the pool hears of no cancellation, so that the task is queued when its time is over. The
// other one, whose time is over later, tells that this has been.
TEST_CASE("a task that is being cancelled does not ask why it waits") {
  std::string cancelled;
  std::string other;
  std::atomic<bool> cancelled_asks{false};
  std::atomic<bool> other_ends{false};
  several_executors lab{{"a"}, 1};
  cancelled = lab.submit(unwanted("start_timeout: 4s"));
  other = lab.submit(unwanted("start_timeout: 20s"));
  lab.wait_until(cancelled, "t", TaskState::QUEUED);
  lab.wait_until(other, "t", TaskState::QUEUED);
  lab.refuse([&](const std::string& name, runtime::incoming_call& call) {
    if (name == "pool.reasons") {
      const auto tasks = call.params().reader<schemas::Pool::ReasonsParams>().getTasks();
      cancelled_asks = cancelled_asks || tasks[0] == (cancelled + "/t").c_str();
    } else if (name == "pool.cancel") {
      const auto task = call.params().reader<schemas::Pool::CancelParams>().getTask();
      other_ends = other_ends || task == (other + "/t").c_str();
    }
    return name == "pool.cancel";
  });
  REQUIRE(lab.silo->call(runtime::ref<schemas::Task>(cancelled + "/t").cancel("enough")));
  node::eventually([&] {
    lab.pass(2s, {a});
    return other_ends.load();
  });
  CHECK_FALSE(cancelled_asks);
  CHECK(lab.task(cancelled, "t").state() == TaskState::QUEUED);
}

TEST_CASE("an executor that tells nothing of standard output is of an older version") {
  several_executors lab{{"a"}, 1};
  const auto finished = [&](bool tells_it) {
    const auto run = lab.submit(unwanted("stdout: text"));
    lab.wait_until(run, "t", TaskState::QUEUED);
    schemas::task_interface::attempt_finished_params params;
    auto report = tells(params, 1, AttemptEnd::EXITED);
    report.setExitCode(0);
    if (tells_it) {
      report.setStdoutText("");
    }
    REQUIRE(lab.silo->call(
        runtime::ref<schemas::Task>(run + "/t").attempt_finished(std::move(params))));
    return lab.task(run, "t");
  };
  CHECK(finished(true).state() == TaskState::SUCCEEDED);
  const auto refused = finished(false);
  CHECK(refused.state() == TaskState::FAILED);
  CHECK(refused.attempts()[0].getEnd() == AttemptEnd::BAD_OUTPUTS);
  CHECK(std::string{refused.reason()} ==
        "standard output, which is the output \"text\": its executor is of an older version");
}

}  // namespace
}  // namespace millrace::actors
