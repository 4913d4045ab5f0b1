// SPDX-License-Identifier: MIT
// Gangs on real silos, with real processes: they start, fail and begin again together.
#include <atomic>
#include <fstream>

#include "actors/pipeline/several_executors.h"

namespace millrace::actors {
namespace {

using runtime::ref;
using schemas::AttemptEnd;
using schemas::RunState;
using schemas::TaskState;
using testing::several_executors;
using namespace std::chrono_literals;

std::string text_in(const std::filesystem::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::size_t lines_of(const std::filesystem::path& path) {
  const auto text = text_in(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::string why(runtime::silo& silo, const std::string& run, const std::string& task) {
  schemas::pool_interface::reasons_params params;
  params.build().initTasks(1).set(0, (run + "/" + task).c_str());
  const auto told = silo.call(ref<schemas::Pool>("default").reasons(std::move(params)));
  REQUIRE(told);
  return text_of(told->reasons()[0]);
}

// Ranks that wait for each other, and then for a file.
std::string meeting(const std::filesystem::path& folder, int ranks, const std::string& more = {}) {
  const auto where = folder.string();
  return "{name: t, ranks: " + std::to_string(ranks) + more + ", run: \"echo start >> " + where +
         "/starts; until test -e " + where + "/go; do sleep 0.02; done\"}";
}

TEST_CASE("ranks run together, know each other, and leave a list") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(
      "name: p\ntasks:\n"
      "  - name: t\n    ranks: 3\n    outputs: [me]\n    run: |\n"
      "      touch here.$MILLRACE_RANK\n"
      "      until test $(ls here.* | wc -l) = 3; do sleep 0.02; done\n"
      "      echo me=$MILLRACE_RANK/$MILLRACE_RANKS/$MILLRACE_INDEX/$MILLRACE_HOSTS >> "
      "$MILLRACE_OUTPUT\n"
      "  - {name: all, needs: [t], stdout: said, command: [echo, -n, '${{ tasks.t.outputs.me "
      "}}']}\n"
      "  - {name: single, needs: [t], stdout: said, run: 'echo -n "
      "\"[$MILLRACE_RANK$MILLRACE_HOSTS]\"'}\n");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const std::string hosts = "127.0.0.1,127.0.0.1,127.0.0.1";
  CHECK(text_of(here.task(run, "all").task().getOutputs()[0].getValue()) ==
        R"(["0/3/0/)" + hosts + R"(","1/3/1/)" + hosts + R"(","2/3/2/)" + hosts + R"("])");
  CHECK(text_of(here.task(run, "single").task().getOutputs()[0].getValue()) == "[]");
  for (const auto* name : {"t[0]", "t[1]", "t[2]"}) {
    CHECK(attempts_of(*here.silo, run, name).attempts().size() == 1);
  }
}

TEST_CASE("a rank that fails ends the others, and all begin again") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(
      "name: p\ntasks:\n"
      "  - name: t\n    ranks: 3\n    retry: {max_attempts: 2, delay: 50ms}\n    outputs: [me]\n"
      "    run: |\n"
      "      echo me=$MILLRACE_RANK.$MILLRACE_ATTEMPT >> $MILLRACE_OUTPUT\n"
      "      if test $MILLRACE_ATTEMPT = 2; then exit 0; fi\n"
      "      touch here.$MILLRACE_RANK\n"
      "      case $MILLRACE_RANK in\n"
      "        0) exit 0 ;;\n"
      "        1) until test -e here.2; do sleep 0.02; done; exit 3 ;;\n"
      "        2) exec sleep 600 ;;\n"
      "      esac\n"
      "  - {name: all, needs: [t], stdout: said, command: [echo, -n, '${{ tasks.t.outputs.me "
      "}}']}\n");
  std::string again;
  CHECK_FALSE(here.follow(run, [&](auto event) {
    const auto text = text_of(event.getReason());
    again =
        event.getName().size() == 0 && text.find("begin again") != std::string::npos ? text : again;
    return false;
  }));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(again.starts_with("t: rank 1 of the gang has failed: exit code 3; all begin again in "));
  CHECK(text_of(here.task(run, "all").task().getOutputs()[0].getValue()) ==
        R"(["0.2","1.2","2.2"])");
  const auto ended = attempts_of(*here.silo, run, "t[2]");
  REQUIRE(ended.attempts().size() == 2);
  CHECK(ended.attempts()[0].getEnd() == AttemptEnd::CANCELLED);
  CHECK(attempts_of(*here.silo, run, "t[0]").attempts().size() == 2);  // it had succeeded
  const auto status = here.silo->call(ref<schemas::Run>(run).status());
  REQUIRE(status);
  CHECK(status->run().getTasks().getSucceeded() == 4);
  CHECK(status->run().getTasks().getBackingOff() == 0);
  CHECK(status->run().getTasks().getCancelled() == 0);
}

TEST_CASE("a gang that has failed as often as it may has failed, and a retry begins all of it") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(
      "name: p\ntasks:\n"
      "  - name: t\n    ranks: 2\n    retry: {max_attempts: 2, delay: 0s}\n    run: |\n"
      "      echo x >> starts.$MILLRACE_RANK\n"
      "      if test -e good; then exit 0; fi\n"
      "      if test $MILLRACE_RANK = 1; then exit 9; fi\n"
      "      exec sleep 600\n");
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "t[1]").task().getExitCode() == 9);
  CHECK(here.task(run, "t[0]").task().getState() == TaskState::CANCELLED);
  CHECK(text_of(here.task(run, "t[0]").task().getReason()) ==
        "rank 1 of the gang has failed: exit code 9");
  CHECK(attempts_of(*here.silo, run, "t[1]").attempts().size() == 2);
  std::ofstream{here.host->workspace_of(run) / "good"};
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry()));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(attempts_of(*here.silo, run, "t[0]").attempts().size() == 3);
  CHECK(attempts_of(*here.silo, run, "t[1]").attempts().size() == 3);
}

// Goal: a restart loses neither the delay nor the count.
TEST_CASE("a gang that waits for its next round goes on after a restart") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(
        "name: p\ntasks:\n"
        "  - name: t\n    ranks: 2\n    retry: {max_attempts: 3, delay: 2s}\n    run: |\n"
        "      if test $MILLRACE_ATTEMPT = 2; then exit 0; fi\n"
        "      if test $MILLRACE_RANK = 0; then exit 3; fi\n"
        "      exec sleep 600\n");
    REQUIRE(here.follow(run, [](auto event) {
      return text_of(event.getReason()).find("begin again in") != std::string::npos;
    }));
    const auto status = here.silo->call(ref<schemas::Run>(run).status());
    REQUIRE(status);
    CHECK(status->run().getTasks().getBackingOff() == 2);
  }
  node here{data.path};
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(attempts_of(*here.silo, run, "t[0]").attempts().size() == 2);
  CHECK(attempts_of(*here.silo, run, "t[1]").attempts().size() == 2);
}

TEST_CASE("a round that has become due while its run was paused begins after a restart, too") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(
        "name: p\ntasks:\n"
        "  - {name: t, ranks: 2, retry: {max_attempts: 3, delay: 50ms},\n"
        "     run: 'until test -e " +
        (data.path / "go").string() +
        "; do sleep 0.02; done; test $MILLRACE_ATTEMPT = 2 || exit 3'}\n");
    here.wait_until_running(run, "t[0]");
    REQUIRE(here.silo->call(ref<schemas::Run>(run).pause("")));
    std::ofstream{data.path / "go"};
    REQUIRE(here.follow(run, [](auto event) {
      return text_of(event.getReason()).find("begin again in") != std::string::npos;
    }));
    const auto later = here.silo->time().wall() + 100ms;  // it is due, which shows nowhere
    node::eventually([&] { return here.silo->time().wall() > later; });
  }
  node here{data.path};
  CHECK(here.task(run, "t[0]").task().getState() == TaskState::BACKING_OFF);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).resume()));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
}

TEST_CASE("a server that starts again begins anew what its gang had begun") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit("name: p\ntasks:\n  - " + meeting(data.path, 2) + "\n");
    here.wait_until_running(run, "t[0]");
    here.wait_until_running(run, "t[1]");
    node::eventually([&] { return lines_of(data.path / "starts") == 2; });
  }
  node here{data.path};
  node::eventually([&] { return lines_of(data.path / "starts") == 4; });
  std::ofstream{data.path / "go"};
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  for (const auto* name : {"t[0]", "t[1]"}) {
    const auto task = attempts_of(*here.silo, run, name);
    REQUIRE(task.attempts().size() == 2);
    CHECK(task.attempts()[1].getEnd() == AttemptEnd::EXITED);
  }
}

TEST_CASE("a gang of which nothing can be made does not begin again") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(
      "name: p\ntasks:\n"
      "  - {name: a, outputs: [limit], run: 'echo limit=soon >> $MILLRACE_OUTPUT'}\n"
      "  - {name: t, needs: [a], ranks: 2, timeout: '${{ tasks.a.outputs.limit }}', run: 'true',\n"
      "     retry: {max_attempts: 3, delay: 0s}}\n");
  CHECK_FALSE(here.follow(run, [](auto event) {
    return text_of(event.getReason()).find("begin again") != std::string::npos;
  }));
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "t[0]").task().getState() == TaskState::ERRORED);
}

// Goal: a rank that was ended for its output begins the gang again as it would a task: codes of
// `on_exit` are of commands.
// Method: the test tells of such an end, since it depends on the disk.
TEST_CASE("a gang begins again when a rank has written more than a log may hold") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(
      "name: p\ntasks:\n  - " +
      meeting(data.path, 2, ", retry: {max_attempts: 2, delay: 0s, on_exit: [75]}") + "\n");
  here.wait_until_running(run, "t[0]");
  here.wait_until_running(run, "t[1]");
  node::eventually([&] { return lines_of(data.path / "starts") == 2; });
  schemas::task_interface::attempt_finished_params params;
  auto report = params.build().initReport();
  report.setNumber(1);
  report.setEnd(AttemptEnd::LOG_LIMIT);
  report.setSignal(9);
  report.setStartedAt(1);
  REQUIRE(here.silo->call(ref<schemas::Task>(run + "/t[0]").attempt_finished(std::move(params))));
  node::eventually([&] { return lines_of(data.path / "starts") == 4; });
  std::ofstream{data.path / "go"};
  CHECK(here.wait(run) == RunState::SUCCEEDED);
}

TEST_CASE("a gang waits until all of it has a place, and says so; cancelled, none of it is left") {
  temporary_folder data;
  node here{data.path};  // 4 slots
  const auto go = (data.path / "small").string();
  const auto small =
      here.submit("{name: s, tasks: [{name: a, for_each: [1, 2], run: 'until test -e " + go +
                  "; do sleep 0.02; done'}]}");
  here.wait_until_running(small, "a[0]");
  here.wait_until_running(small, "a[1]");
  const auto run = here.submit("name: p\ntasks:\n  - " + meeting(data.path, 3) + "\n");
  node::eventually([&] { return !why(*here.silo, run, "t[2]").empty(); });
  CHECK(why(*here.silo, run, "t[0]") == "a gang of 3 ranks: 2 places are free at silo");
  CHECK_FALSE(std::filesystem::exists(data.path / "starts"));
  const auto large = here.submit("name: q\ntasks:\n  - " + meeting(data.path, 5) + "\n");
  node::eventually([&] { return !why(*here.silo, large, "t[4]").empty(); });
  CHECK(why(*here.silo, large, "t[0]") ==
        "a gang of 5 ranks, which share a workspace; there are 4 places for them at silo at most");
  REQUIRE(here.silo->call(ref<schemas::Run>(large).cancel("", false)));
  CHECK(here.wait(large) == RunState::CANCELLED);
  std::ofstream{go};
  here.wait_until_running(run, "t[0]");
  here.wait_until_running(run, "t[1]");
  here.wait_until_running(run, "t[2]");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("", false)));
  CHECK(here.wait(run) == RunState::CANCELLED);
  for (const auto* name : {"t[0]", "t[1]", "t[2]"}) {
    CHECK(here.task(run, name).task().getState() == TaskState::CANCELLED);
  }
  const auto pool = here.silo->call(ref<schemas::Pool>("default").status());
  REQUIRE(pool);
  node::eventually([&] {
    const auto now = here.silo->call(ref<schemas::Pool>("default").status());
    return now && now->running() == 0 && now->waiting() == 0;
  });
}

// --- several executors ---------------------------------------------------------------------------

const std::string a = "silo/a";
const std::string b = "silo/b";
const std::string c = "silo/c";

TEST_CASE("a gang spans executors, and begins again as a whole when one of them is lost") {
  several_executors lab{{"a", "b", "c"}, 1};
  const auto run =
      lab.submit("name: p\nworkspace: task\ntasks:\n  - " + meeting(lab.folder.path, 2) + "\n");
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 2; });
  lab.wait_until(run, "t[0]", TaskState::RUNNING);
  lab.wait_until(run, "t[1]", TaskState::RUNNING);
  const auto dead = text_of(lab.task(run, "t[1]").attempts()[0].getExecutor());
  CHECK(dead != text_of(lab.task(run, "t[0]").attempts()[0].getExecutor()));
  lab.members.at(dead)->die();
  std::set<std::string> alive{a, b, c};
  alive.erase(dead);
  lab.pass(12s, alive);
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 4; });
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(lab.task(run, "t[1]").attempts()[0].getEnd() == AttemptEnd::LOST);
  CHECK(lab.task(run, "t[0]").attempts()[0].getEnd() == AttemptEnd::CANCELLED);
  std::set<std::string> used;
  for (const auto* name : {"t[0]", "t[1]"}) {
    const auto task = lab.task(run, name);
    REQUIRE(task.attempts().size() == 2);
    used.insert(text_of(task.attempts()[1].getExecutor()));
  }
  CHECK(used == alive);
}

TEST_CASE("a gang that may not be repeated is lost with one of its executors") {
  several_executors lab{{"a", "b"}, 1};
  const auto run = lab.submit("name: p\nworkspace: task\ntasks:\n  - " +
                              meeting(lab.folder.path, 2, ", retry: never") + "\n");
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 2; });
  lab.wait_until(run, "t[0]", TaskState::RUNNING);
  lab.wait_until(run, "t[1]", TaskState::RUNNING);
  const auto dead = text_of(lab.task(run, "t[1]").attempts()[0].getExecutor());
  lab.members.at(dead)->die();
  lab.pass(12s, {dead == a ? b : a});
  CHECK(lab.wait(run) == RunState::FAILED);
  CHECK(lab.task(run, "t[1]").state() == TaskState::LOST);
  CHECK(lab.task(run, "t[0]").state() == TaskState::CANCELLED);
  CHECK(lines_of(lab.folder.path / "starts") == 2);
}

// Goal: a task that was granted ahead does not take the slot of a rank that is not ready.
// Method: what the second rank is to do is not told until the other task has been told.
TEST_CASE("a rank that is ready late has its slot all the same") {
  std::atomic<bool> is_late{true};
  std::atomic<bool> other_is_ready{false};
  several_executors lab{{"a"}, 2};
  lab.refuse([&](const std::string& call, runtime::incoming_call& one) {
    const std::string key{one.key()};
    other_is_ready = other_is_ready || (call == "task.attempt_spec" && key.ends_with("/x"));
    return call == "task.attempt_spec" && key.ends_with("/t[1]") && is_late;
  });
  const auto run =
      lab.submit("name: p\nworkspace: task\ntasks:\n  - " + meeting(lab.folder.path, 2) + "\n");
  lab.wait_until(run, "t[0]", TaskState::RUNNING);
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 1; });
  const auto other =
      lab.submit("{name: q, workspace: task, priority: 900, tasks: [{name: x, run: 'echo x >> " +
                 (lab.folder.path / "starts").string() + "'}]}");
  node::eventually([&] { return other_is_ready.load(); });
  lab.pass(2s, {a});
  CHECK(lines_of(lab.folder.path / "starts") == 1);
  is_late = false;
  lab.pass(12s, {a});
  lab.wait_until(run, "t[1]", TaskState::RUNNING);
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 2; });
  CHECK(text_in(lab.folder.path / "starts") == "start\nstart\n");
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(lab.wait(other) == RunState::SUCCEEDED);
}

TEST_CASE("a run that is cancelled and then loses an executor of its gang is cancelled") {
  several_executors lab{{"a", "b", "c"}, 1};
  const auto where = lab.folder.path.string();
  const auto run = lab.submit(
      "name: p\nworkspace: task\ntasks:\n"
      "  - {name: t, ranks: 2, run: \"trap '' TERM; echo start >> " +
      where + "/starts; until test -e " + where + "/go; do sleep 0.02; done\",\n" +
      "     on_cancel: {run: 'echo cancel > " + where + "/hook'},\n" +
      "     on_failure: {run: 'echo failure > " + where + "/hook'}}\n");
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 2; });
  lab.wait_until(run, "t[0]", TaskState::RUNNING);
  lab.wait_until(run, "t[1]", TaskState::RUNNING);
  REQUIRE(lab.silo->call(ref<schemas::Run>(run).cancel("", false)));
  const auto dead = text_of(lab.task(run, "t[1]").attempts()[0].getExecutor());
  lab.members.at(dead)->die();
  std::set<std::string> alive{a, b, c};
  alive.erase(dead);
  lab.pass(12s, alive);
  lab.wait_until(run, "t[1]", TaskState::LOST);
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::CANCELLED);
  CHECK(text_in(lab.folder.path / "hook") == "cancel\n");
}

// Goal: a rank that was granted and not started does not wait alone for others that run.
// Method: its executor joins as one does that has come back with its records, in which it is not.
TEST_CASE("a gang begins again when one of its executors forgets a rank before it started") {
  several_executors lab{{"a", "b", "c"}, 1};
  const auto run =
      lab.submit("name: p\nworkspace: task\ntasks:\n  - " + meeting(lab.folder.path, 2) + "\n");
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 2; });
  lab.wait_until(run, "t[0]", TaskState::RUNNING);
  lab.wait_until(run, "t[1]", TaskState::RUNNING);
  const auto there = text_of(lab.task(run, "t[1]").attempts()[0].getExecutor());
  const auto& attempts = lab.members.at(there)->attempts();
  schemas::pool_interface::join_params params;
  params.build().setExecutor(there.c_str());
  params.build().setIncarnation(attempts.incarnation() + 1);
  params.build().setLineage(attempts.lineage());
  const auto joined = lab.silo->call(ref<schemas::Pool>("default").join(std::move(params)));
  REQUIRE(joined);
  CHECK(joined->same_lineage());
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 4; });
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(lab.task(run, "t[1]").attempts()[0].getEnd() == AttemptEnd::DROPPED);
}

TEST_CASE("a gang whose workspace is lost begins again elsewhere") {
  several_executors lab{{"a", "b"}, 2};
  const auto run = lab.submit("name: p\ntasks:\n  - {name: before, run: 'true'}\n  - " +
                              meeting(lab.folder.path, 2, ", needs: [before]") + "\n");
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 2; });
  lab.wait_until(run, "t[0]", TaskState::RUNNING);
  lab.wait_until(run, "t[1]", TaskState::RUNNING);
  const auto dead = text_of(lab.task(run, "t[0]").attempts()[0].getExecutor());
  CHECK(dead == text_of(lab.task(run, "t[1]").attempts()[0].getExecutor()));
  lab.members.at(dead)->die();
  lab.pass(12s, {dead == a ? b : a});
  node::eventually([&] { return lines_of(lab.folder.path / "starts") == 4; });
  std::ofstream{lab.folder.path / "go"};
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(text_of(lab.task(run, "t[1]")
                    .attempts()[lab.task(run, "t[1]").attempts().size() - 1]
                    .getExecutor()) == (dead == a ? b : a));
}

}  // namespace
}  // namespace millrace::actors
