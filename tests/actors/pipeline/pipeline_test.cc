// SPDX-License-Identifier: MIT
// Whole pipelines on a real silo: LMDB in a temporary folder, real processes.
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

#include "actors/pipeline/fixture.h"
#include "pipeline/names.h"
#include "pool/pool_queue.h"

namespace millrace::actors {
namespace {

namespace fs = std::filesystem;
using runtime::ref;
using schemas::RunState;
using schemas::TaskState;

TEST_CASE("a fan-out over the outputs of a task is joined in one workspace") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: words
params: {greeting: hello}
tasks:
  - name: list
    run: |
      printf 'files<<END\na\nb\nc\nEND\n' >> "$MILLRACE_OUTPUT"
    outputs: [files]
  - name: count
    needs: [list]
    for_each: ${{ tasks.list.outputs.files }}
    run: echo "$MILLRACE_PARAM_GREETING $MILLRACE_ITEM" > "$MILLRACE_ITEM.txt"
  - name: join
    needs: [count]
    run: cat *.txt; echo "lines=$(cat *.txt | wc -l)" >> "$MILLRACE_OUTPUT"
)yaml",
                               R"({"greeting": "good day"})");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto join = here.task(run, "join");
  CHECK(join.task().getOutputs()[0].getValue() == "3");
  const auto detail = here.silo->call(ref<schemas::Task>(run + "/join").describe());
  REQUIRE(detail);
  CHECK(detail->attempts()[0].getStdoutTail() == "good day a\ngood day b\ngood day c\n");
  CHECK(fs::exists(here.host->logs_of(run, "join", 1).standard_output));
  CHECK_FALSE(fs::exists(here.host->logs_of(run, "count[1]", 1).standard_output));  // it is silent
}

TEST_CASE("a fan-out over nothing is done, and tells so") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: nothing
tasks:
  - {name: list, run: 'echo "files=" >> "$MILLRACE_OUTPUT"'}
  - {name: fan, needs: [list], for_each: "${{ tasks.list.outputs.files }}", run: x}
  - name: join
    needs: [fan]
    command: [echo, "${{ tasks.fan.outputs.n }}"]
  - {name: no, needs: [list], for_each: "${{ tasks.list.outputs.files }}", run: x, on_empty: skip}
  - {name: after, needs: ["no"], run: x}
)yaml");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(here.task(run, "fan").task().getState() == TaskState::SUCCEEDED);
  CHECK(here.task(run, "fan").task().getReason() == "0 of 0: its list is empty");
  const auto join = here.silo->call(ref<schemas::Task>(run + "/join").describe());
  REQUIRE(join);
  CHECK(join->attempts()[0].getStdoutTail() == "[]\n");
  CHECK(here.task(run, "after").task().getReason() == "needs no: skipped, its list is empty");
  bool told = false;
  static_cast<void>(here.follow(run, [&](auto event) {
    told = told || (event.getName() == "after" &&
                    event.getReason() == "needs no: skipped, its list is empty");
    return false;
  }));
  CHECK(told);
}

// Goal: a run that an older version began, whose record holds the text of the definition, goes on.
TEST_CASE("a run that was begun with the text of a definition runs, also after a restart") {
  temporary_folder data;
  std::string run;
  const auto made = load_definition(
      "name: p\ntasks: [{name: a, run: x, when: \"${{ false }}\"}, {name: b, run: x, needs: "
      "[a]}]\n",
      "");
  REQUIRE(made);
  {
    node here{data.path};
    run = make_run_id(here.silo->time().wall(), here.random);
    schemas::run_interface::begin_params begin;
    auto params = begin.build();
    params.setProject("default");
    params.setPipeline("p");
    params.setVersion(1);
    params.setDefinition(to_json(*made.definition).c_str());
    params.setParams("{}");
    REQUIRE(here.silo->call(ref<schemas::Run>(run).begin(std::move(begin))));
    CHECK(here.wait(run) == RunState::SUCCEEDED);
  }
  node here{data.path};
  const auto tasks = here.silo->call(ref<schemas::Run>(run).tasks("", 0, ""));
  REQUIRE(tasks);
  CHECK(tasks->tasks().size() == 2);
  CHECK(tasks->tasks()[1].getReason() == "needs a: skipped, its condition is false");
}

TEST_CASE("a project whose name is not allowed gets no pipeline") {
  temporary_folder data;
  node here{data.path};
  const auto made = load_definition("{name: p, tasks: [{name: a, run: x}]}", "");
  for (const auto* project : {"a\r\nb", "$(id)", "a\xE2\x80\xAEgnp", "A", "..", ""}) {
    const auto refused =
        here.silo->call(ref<schemas::Pipeline>(std::string{project} + "/p")
                            .apply(to_json(*made.definition), 0, schemas::ApplyOnlyIf::ANY));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == runtime::errc::invalid_argument);
    CHECK(refused.error().text().find("use a-z") != std::string::npos);
  }
}

TEST_CASE("a failed command is tried again and then fails the run") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: flaky
tasks:
  - name: second_time
    run: test -e marker || { touch marker; exit 3; }
    retry: {max_attempts: 2, delay: 10ms}
  - name: never
    needs: [second_time]
    run: echo oops >&2; exit 7
  - {name: after, needs: [never], run: echo}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "second_time").task().getAttempt() == 2);
  CHECK(here.task(run, "second_time").task().getState() == TaskState::SUCCEEDED);
  CHECK(here.task(run, "never").task().getExitCode() == 7);
  CHECK(here.task(run, "never").task().getReason() == "exit code 7");
  CHECK(here.task(run, "after").task().getState() == TaskState::UPSTREAM_FAILED);
}

TEST_CASE("the exit code says whether a command is tried again") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: codes
defaults: {retry: {max_attempts: 2, delay: 10ms}}
tasks:
  - {name: other, run: exit 3, retry: {on_exit: 75}, allow_failures: true}
  - {name: named, run: "test -e n || { touch n; exit 75; }", retry: {on_exit: 75}}
  - {name: killed, run: "test -e k || { touch k; kill -9 $$; }", retry: {on_exit: 137}}
  - {name: not, run: exit 2, retry: {not_on_exit: 2}, allow_failures: true}
  - {name: after, run: echo, needs: [other, named, killed, not]}
)yaml");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(here.task(run, "other").task().getState() == TaskState::FAILED);
  CHECK(here.task(run, "other").task().getAttempt() == 1);
  CHECK(here.task(run, "named").task().getAttempt() == 2);
  CHECK(here.task(run, "killed").task().getAttempt() == 2);
  CHECK(here.task(run, "not").task().getAttempt() == 1);
  CHECK(here.task(run, "after").task().getState() == TaskState::SUCCEEDED);
}

TEST_CASE("timeouts, missing programs and broken outputs are told apart") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: bad
tasks:
  - {name: slow, run: sleep 60, timeout: 50ms, grace_period: 10ms}
  - {name: missing, command: [no-such-program]}
  - {name: outputs, run: echo nonsense >> "$MILLRACE_OUTPUT"}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "slow").task().getState() == TaskState::TIMED_OUT);
  CHECK(here.task(run, "missing").task().getState() == TaskState::ERRORED);
  CHECK(here.task(run, "outputs").task().getState() == TaskState::FAILED);
  CHECK(text_of(here.task(run, "outputs").task().getReason())
            .starts_with("$MILLRACE_OUTPUT: line 1: \"nonsense\" is neither key=value"));
}

TEST_CASE("a declared output that was not written fails the attempt, which is tried again") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: outputs
tasks:
  - {name: none, run: echo other=1 >> "$MILLRACE_OUTPUT", outputs: [k]}
  - {name: empty, run: echo k= >> "$MILLRACE_OUTPUT", outputs: [k]}
  - {name: undeclared, run: 'printf "k=1\nextra=2\n" >> "$MILLRACE_OUTPUT"', outputs: [k]}
  - name: second_time
    run: test -e marker || { touch marker; exit 0; }; echo k=1 >> "$MILLRACE_OUTPUT"
    outputs: [k]
    retry: {max_attempts: 2, delay: 10ms}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  const auto none = here.task(run, "none");
  CHECK(none.task().getState() == TaskState::FAILED);
  CHECK(none.task().getReason() ==
        R"(wrote no value for output "k": write "k=value" to $MILLRACE_OUTPUT)");
  CHECK(none.task().getExitCode() == 0);
  CHECK(none.task().getOutputs().size() == 0);
  const auto detail = here.silo->call(ref<schemas::Task>(run + "/none").describe());
  CHECK(detail->attempts()[0].getEnd() == schemas::AttemptEnd::BAD_OUTPUTS);
  CHECK(here.task(run, "empty").task().getState() == TaskState::SUCCEEDED);
  const auto undeclared = here.task(run, "undeclared");
  CHECK(undeclared.task().getState() == TaskState::SUCCEEDED);
  CHECK(undeclared.task().getOutputs()[1].getName() == "extra");
  CHECK(here.task(run, "second_time").task().getState() == TaskState::SUCCEEDED);
  CHECK(here.task(run, "second_time").task().getAttempt() == 2);
}

// Goal: a refusal that passes is no failure of the task.
// Method: the program is open for writing, so the kernel refuses to execute it until it is closed.
TEST_CASE("a start that is refused for a while is made again, and can be cancelled") {
  temporary_folder data;
  node here{data.path};
  const auto program = data.path / "program";
  fs::copy_file("/bin/true", program);
  std::FILE* writer = std::fopen(program.c_str(), "a");
  REQUIRE(writer != nullptr);
  const auto text = "name: busy\ntasks: [{name: a, command: [" + program.string() + "]}]\n";
  const auto cancelled = here.submit(text);
  const auto patient = here.submit(text);
  here.eventually(
      [&] { return here.silo->call(ref<schemas::Pool>("default").status())->running() == 2; });
  REQUIRE(here.silo->call(ref<schemas::Run>(cancelled).cancel("enough", false)));
  CHECK(here.wait(cancelled) == RunState::CANCELLED);
  std::fclose(writer);
  CHECK(here.wait(patient) == RunState::SUCCEEDED);
  CHECK(here.task(patient, "a").task().getAttempt() == 1);
}

TEST_CASE("an approval waits for a person, through a restart, and says who it was") {
  temporary_folder data;
  const auto decide = [](node& here, const std::string& run, const std::string& task, bool yes) {
    return here.silo->call(ref<schemas::Run>(run).decide(task, yes, "as agreed", "ann"));
  };
  std::string run;
  std::string other;
  {
    node here{data.path};
    run = here.submit(R"yaml(name: asks
params: {what: "1.2"}
tasks:
  - {name: build, run: "true"}
  - {name: gate, needs: [build], approval: "Release ${{ params.what }}?"}
  - {name: note, needs: [gate], run: 'test "$BY $WHAT" = "ann as agreed"',
     env: {BY: "${{ tasks.gate.outputs.by }}", WHAT: "${{ tasks.gate.outputs.comment }}"}}
)yaml");
    here.wait_until_running(run, "gate");
    CHECK(text_of(here.task(run, "gate").task().getReason()) == "waits for approval: Release 1.2?");
    CHECK(decide(here, run, "build", true).error().code() == runtime::errc::failed_precondition);
    CHECK(decide(here, run, "nope", true).error().code() == runtime::errc::not_found);
    other = here.submit(R"yaml(name: two
tasks:
  - {name: late, approval: "Soon?", timeout: 50ms}
  - {name: no, approval: "This?"}
  - {name: wrong, approval: "${{ int('x') }}"}
  - {name: never, approval: "Ever?"}
)yaml");
    here.wait_until_running(other, "no");
    REQUIRE(decide(here, other, "no", false));
    CHECK(decide(here, other, "no", true).error().code() == runtime::errc::failed_precondition);
    CHECK(here.task(other, "no").task().getState() == TaskState::FAILED);
    CHECK(text_of(here.task(other, "no").task().getReason()) == "rejected by ann: as agreed");
    CHECK(here.task(other, "wrong").task().getState() == TaskState::ERRORED);
    here.eventually(
        [&] { return here.task(other, "late").task().getState() == TaskState::TIMED_OUT; });
    CHECK(text_of(here.task(other, "late").task().getReason()) == "nobody answered within 50ms");
  }
  node here{data.path};
  REQUIRE(decide(here, run, "gate", true));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(text_of(here.task(run, "gate").task().getReason()) == "approved by ann: as agreed");
  REQUIRE(here.silo->call(ref<schemas::Run>(other).cancel("enough", false)));
  CHECK(here.wait(other) == RunState::CANCELLED);
  CHECK(here.task(other, "never").task().getState() == TaskState::CANCELLED);
  // What could not be asked has one end, whatever it does to others.
  const auto third = here.submit(R"yaml(name: three
defaults: {timeout: 1ms}
tasks:
  - {name: a, for_each: [1, 2, 3], approval: "${{ int('x') }}"}
  - {name: gate, approval: "Go?"}
)yaml");
  here.wait_until_running(third, "gate");
  for (const auto* each : {"a[0]", "a[1]", "a[2]"}) {
    CHECK(here.task(third, each).task().getState() == TaskState::ERRORED);
  }
  CHECK(decide(here, third, "a", true).error().text().starts_with("'a' is a fan-out"));
  CHECK(
      here.silo->call(ref<schemas::Run>(third).decide("gate", true, std::string(5'000, 'x'), "ann"))
          .error()
          .code() == runtime::errc::invalid_argument);
  REQUIRE(decide(here, third, "gate", true));
  CHECK(here.wait(third) == RunState::FAILED);
  const auto counts = here.silo->call(ref<schemas::Run>(other).status());
  REQUIRE(counts);
  CHECK(counts->run().getTasks().getRunning() == 0);
}

TEST_CASE("cancelling a run ends its processes") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: long
tasks:
  - {name: a, run: sleep 600}
  - {name: b, run: echo, needs: [a]}
)yaml");
  here.wait_until_running(run, "a");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
  CHECK(here.wait(run) == RunState::CANCELLED);
  CHECK(here.task(run, "a").task().getState() == TaskState::CANCELLED);
  CHECK(here.task(run, "b").task().getState() == TaskState::CANCELLED);
  while (here.host->processes().stats().running > 0) {
    std::this_thread::yield();  // until the stored result is acknowledged
  }
  const auto again = here.silo->call(ref<schemas::Run>(run).cancel("enough", false));
  CHECK(again.error().code() == runtime::errc::failed_precondition);
}

// Goal: attempts are granted ahead, processes are not started ahead.
// Method: each command says when it begins and when it is about to end, before its slot is free.
TEST_CASE("no more processes run at a time than there are slots") {
  temporary_folder data;
  node here{data.path};
  std::string list = "1";
  for (int at = 1; at < 60; ++at) {
    list += ",1";
  }
  const auto run = here.submit("name: many\ntasks: [{name: a, for_each: [" + list +
                               "], run: echo + >> log; sleep 0.01; echo - >> log}]\n");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  std::ifstream log{here.host->workspace_of(run) / "log"};
  int running = 0;
  int most = 0;
  for (char sign = 0; log >> sign;) {
    running += sign == '+' ? 1 : -1;
    most = std::max(most, running);
  }
  CHECK(running == 0);
  CHECK(most <= 4);
  CHECK(most > 1);
}

TEST_CASE("what waits at its executor is told as queued and can be cancelled") {
  temporary_folder data;
  node here{data.path};
  const auto busy = here.submit(
      "name: busy\ntasks: [{name: a, for_each: [1, 2, 3, 4], run: sleep 600, grace_period: "
      "10ms}]\n");
  const auto pool = ref<schemas::Pool>("default");
  here.eventually([&] { return here.silo->call(pool.status())->running() == 4; });
  const auto run = here.submit("name: behind\ntasks: [{name: a, run: touch never}]\n");
  const auto attempts = [&] {
    auto detail = here.silo->call(ref<schemas::Task>(run + "/a").describe());
    return detail && detail->attempts().size() == 1 ? std::optional{*std::move(detail)}
                                                    : std::nullopt;
  };
  here.eventually([&] { return attempts().has_value(); });
  CHECK(attempts()->attempts()[0].getEnd() == schemas::AttemptEnd::QUEUED);
  CHECK(here.task(run, "a").task().getState() == TaskState::QUEUED);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
  CHECK(here.wait(run) == RunState::CANCELLED);
  CHECK(here.task(run, "a").task().getState() == TaskState::CANCELLED);
  CHECK(attempts()->attempts()[0].getEnd() == schemas::AttemptEnd::CANCELLED);
  CHECK_FALSE(fs::exists(here.host->workspace_of(run) / "never"));
  REQUIRE(here.silo->call(ref<schemas::Run>(busy).cancel("enough", false)));
  CHECK(here.wait(busy) == RunState::CANCELLED);
}

// Goal: `retry: never` gives up what may have run, and only that; what is lost shows what it wrote.
// Method: the silo stops while four attempts run and two wait at their executor.
TEST_CASE("a restart loses what ran, with the end of its output, and starts what waited") {
  temporary_folder data;
  std::string run;
  constexpr unsigned slots = 4;
  constexpr unsigned width = 6;
  const auto name = [](unsigned at) { return "a[" + std::to_string(at) + "]"; };
  const auto first_of = [&](node& here, unsigned at) {
    return here.silo->call(ref<schemas::Task>(run + "/" + name(at)).describe());
  };
  {
    node here{data.path};
    run = here.submit(R"yaml(name: once
tasks:
  - {name: a, for_each: [0, 1, 2, 3, 4, 5], fail_fast: false, retry: never, grace_period: 10ms,
     run: "echo begun $MILLRACE_ITEM; test -e go || sleep 600"}
)yaml");
    here.eventually([&] {
      unsigned granted = 0;
      unsigned begun = 0;
      for (unsigned at = 0; at < width; ++at) {
        const auto task = first_of(here, at);
        granted += task && task->attempts().size() == 1 ? 1 : 0;
        const auto log = here.host->attempts().open_log(here.host->token_of(run, name(at), 1),
                                                        output_stream::standard_output);
        begun += log && log->size() > 0 ? 1 : 0;
      }
      return granted == width && begun == slots;
    });
    std::ofstream{here.host->workspace_of(run) / "go"};
  }
  node again{data.path};
  CHECK(again.wait(run) == RunState::FAILED);
  unsigned lost = 0;
  for (unsigned at = 0; at < width; ++at) {
    CAPTURE(at);
    const auto detail = first_of(again, at);
    REQUIRE(detail);
    const auto first = detail->attempts()[0];
    if (detail->state() == TaskState::LOST) {
      ++lost;
      CHECK(first.getEnd() == schemas::AttemptEnd::LOST);
      CHECK(text_of(first.getText()) == "its executor went away");
      CHECK(text_of(first.getStdoutTail()) == "begun " + std::to_string(at) + "\n");
      CHECK(first.getStdoutBytes() == 8);
    } else {
      CHECK(detail->state() == TaskState::SUCCEEDED);
      CHECK(detail->attempts().size() == 1);  // what never started does not count
      CHECK(first.getEnd() == schemas::AttemptEnd::EXITED);
    }
  }
  CHECK(lost == slots);
}

TEST_CASE("tasks that have not started are listed as waiting, in the order of the definition") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: waiting
tasks:
  - {name: z, run: sleep 600, grace_period: 10ms}
  - {name: each, for_each: [1, 2], run: echo, needs: [z]}
  - {name: a, run: echo, needs: [each]}
)yaml");
  here.wait_until_running(run, "z");
  CHECK(here.task(run, "a").task().getState() == TaskState::WAITING);
  CHECK(here.task(run, "each").task().getState() == TaskState::WAITING);
  const auto unknown = here.silo->call(ref<schemas::Run>(run).task("each[0]"));
  CHECK(unknown.error().code() == runtime::errc::not_found);
  const auto detail = here.silo->call(ref<schemas::Task>(run + "/z").describe());
  REQUIRE(detail);
  CHECK(detail->attempts()[0].getEnd() == schemas::AttemptEnd::RUNNING);

  std::vector<std::string> listed;
  std::string after;
  do {
    const auto page = here.silo->call(ref<schemas::Run>(run).tasks(after, 1, ""));
    REQUIRE(page);
    for (auto each : page->tasks()) {
      listed.emplace_back(each.getName().cStr());
    }
    after = page->next_cursor();
  } while (!after.empty());
  CHECK(listed == std::vector<std::string>{"z", "each", "a"});
  const auto nonsense = here.silo->call(ref<schemas::Run>(run).tasks("nope", 1, ""));
  CHECK(nonsense.error().code() == runtime::errc::invalid_argument);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
  CHECK(here.wait(run) == RunState::CANCELLED);
}

TEST_CASE("a task that has not ended is not begun again") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit("name: once\ntasks: [{name: a, run: sleep 600}]\n");
  here.wait_until_running(run, "a");
  schemas::task_interface::begin_params again;
  auto spec = again.build().initSpec();
  spec.setRun(run.c_str());
  spec.setEpoch(1);
  const auto begun = here.silo->call(ref<schemas::Task>(run + "/a").begin(std::move(again)));
  REQUIRE_FALSE(begun);
  CHECK(begun.error().code() == runtime::errc::failed_precondition);
  CHECK(here.task(run, "a").task().getAttempt() == 1);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
  CHECK(here.wait(run) == RunState::CANCELLED);
}

// Goal: a grant that was meant for another life of the executor does not swallow the task.
// Method: the task that waits behind all that is granted ahead is granted to a life that never was.
TEST_CASE("what was granted to another life is reported as lost and made again") {
  temporary_folder data;
  node here{data.path};
  constexpr unsigned slots = 4;
  std::string list = "1";
  for (unsigned at = 1; at < slots + granted_ahead_max; ++at) {
    list += ",1";
  }
  const auto busy = here.submit("name: busy\ntasks: [{name: a, for_each: [" + list +
                                "], run: sleep 600, grace_period: 10ms}]\n");
  const auto pool = ref<schemas::Pool>("default");
  const auto waiting_is = [&](unsigned number) {
    const auto status = here.silo->call(pool.status());
    return status->running() == slots && status->waiting() == number;
  };
  here.eventually([&] { return waiting_is(granted_ahead_max); });
  const auto run = here.submit("name: queued\ntasks: [{name: a, run: echo}]\n");
  here.eventually([&] { return waiting_is(granted_ahead_max + 1); });
  schemas::executor_interface::grant_params stranger;
  stranger.build().setIncarnation(7);
  auto one = stranger.build().initGrants(1)[0];
  one.setTask((run + "/a").c_str());
  one.setAttempt(1);
  one.setNumber(1'000'000);
  REQUIRE(here.silo->call(ref<schemas::Executor>(here.silo->name()).grant(std::move(stranger))));
  REQUIRE(here.silo->call(ref<schemas::Run>(busy).cancel("enough", false)));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(here.task(run, "a").task().getAttempt() == 2);
}

std::vector<std::string> executors_of(node& here) {
  const auto status = here.silo->call(ref<schemas::Pool>("default").status());
  REQUIRE(status);
  std::vector<std::string> names;
  for (auto each : status->executors()) {
    names.emplace_back(each.cStr());
  }
  return names;
}

// Goal: what was granted under an earlier name is made again, and nothing is granted to it any
// more.
TEST_CASE("a silo that is renamed takes its executor along") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path, {}, {.name = "first"}};
    CHECK(executors_of(here) == std::vector<std::string>{"first"});
    run = here.submit(R"yaml(name: p
tasks:
  - {name: a, for_each: [0, 1, 2, 3], grace_period: 10ms,
     run: "test -e slow.$MILLRACE_ITEM || { touch slow.$MILLRACE_ITEM; sleep 600; }"}
)yaml");
    here.wait_until_running(run, "a[0]");
    here.eventually([&] { return fs::exists(here.host->workspace_of(run) / "slow.0"); });
    for (const auto* item : {"1", "2", "3"}) {
      std::ofstream{here.host->workspace_of(run) / (std::string{"slow."} + item)};
    }
  }
  node here{data.path, {}, {.name = "second"}};
  CHECK(executors_of(here) == std::vector<std::string>{"second"});
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto detail = here.silo->call(ref<schemas::Task>(run + "/a[0]").describe());
  REQUIRE(detail);
  REQUIRE(detail->attempts().size() == 2);
  CHECK(detail->attempts()[0].getExecutor() == "first");
  CHECK(detail->attempts()[1].getExecutor() == "second");
}

// Method: what an older version left in the pool, with no name in the data directory.
TEST_CASE("an executor from before they were called as their silos goes when the silo joins") {
  temporary_folder data;
  {
    node here{data.path};
    schemas::pool_interface::join_params old;
    old.build().setExecutor("local");
    old.build().setIncarnation(7);
    old.build().setSlots(4);
    REQUIRE(here.silo->call(ref<schemas::Pool>("default").join(std::move(old))));
    CHECK(executors_of(here).size() == 2);
  }
  fs::remove(data.path / "executor" / "name");
  node here{data.path};
  CHECK(executors_of(here) == std::vector<std::string>{"silo"});
  CHECK(here.wait(here.submit("name: p\ntasks: [{name: a, run: echo}]\n")) == RunState::SUCCEEDED);
}

TEST_CASE("an executor that is called as another silo is refused") {
  temporary_folder data;
  auto rows = runtime::open_storage(
      {.directory = (data.path / "rows").string(), .map_bytes = std::size_t{1} << 30U});
  REQUIRE(rows);
  runtime::silo here{*std::move(rows), {.name = "here"}};
  for (const auto* id : {"there", "heretic", "/"}) {
    const auto refused =
        pipeline_host::open({.data_directory = data.path, .executor_id = id}, here);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == runtime::errc::invalid_argument);
  }
}

// Goal: an attempt that was lost before its task had begun is made again.
// Method: its run asks the pool for it at the same time; the pool tells of its end before the task
// knows of it. Of a task that nobody begins nothing is kept.
TEST_CASE("the end of an attempt of a task that has not begun yet is told again later") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(
      "name: p\ntasks: [{name: a, run: sleep 600, grace_period: 10ms}, "
      "{name: b, needs: [a], run: echo}]\n");
  here.wait_until_running(run, "a");
  const auto tell_end_of = [&](const std::string& task) {
    schemas::task_interface::attempt_finished_params finished;
    auto report = finished.build().initReport();
    report.setNumber(1);
    report.setEnd(schemas::AttemptEnd::LOST);
    return here.silo->call(ref<schemas::Task>(task).attempt_finished(std::move(finished)));
  };
  const auto early = tell_end_of(run + "/b");
  REQUIRE_FALSE(early);
  CHECK(early.error().code() == runtime::errc::unavailable);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
  CHECK(here.wait(run) == RunState::CANCELLED);
  CHECK(tell_end_of(run + "/b"));
  CHECK(tell_end_of("nobody/b"));
}

// Goal: a wish for a slot that comes too late, or of a run that is gone, takes none for ever.
TEST_CASE("a slot that nobody wants is given back") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit("name: p\ntasks: [{name: a, run: echo ran >> log}]\n");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto pool = ref<schemas::Pool>("default");
  const auto is_empty = [&] {
    const auto status = here.silo->call(pool.status());
    return status && status->running() + status->waiting() == 0;
  };
  here.eventually(is_empty);
  const auto wish_for = [&](const std::string& task) {
    schemas::pool_interface::enqueue_all_params wishes;
    auto one = wishes.build().initEntries(1)[0];
    one.setTask(task.c_str());
    one.setAttempt(1);
    REQUIRE(here.silo->call(pool.enqueue_all(std::move(wishes))));
  };
  wish_for(run + "/a");
  here.eventually(is_empty);
  const auto unknown = make_run_id(here.silo->time().wall(), here.random);
  wish_for(unknown + "/a");
  here.eventually([&] { return !here.host->attempts().list().empty(); });
  CHECK_FALSE(is_empty());  // its task may be about to begin
  REQUIRE(here.silo->call(pool.remove_run(unknown)));
  CHECK(is_empty());
  here.eventually([&] { return here.host->attempts().list().empty(); });
  CHECK(here.task(run, "a").task().getAttempt() == 1);
  CHECK(fs::file_size(here.host->workspace_of(run) / "log") == 4);
}

TEST_CASE("a retry runs what failed and keeps what succeeded") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: again
tasks:
  - {name: a, run: echo once >> a.log}
  - {name: b, run: test -e repaired, needs: [a]}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  std::FILE* repaired = std::fopen((here.host->workspace_of(run) / "repaired").c_str(), "w");
  REQUIRE(repaired != nullptr);
  std::fclose(repaired);
  const auto retried = here.silo->call(ref<schemas::Run>(run).retry());
  REQUIRE(retried);
  CHECK(retried->tasks() == 1);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(fs::file_size(here.host->workspace_of(run) / "a.log") == 5);

  // From a task of a run that has succeeded.
  CHECK(here.silo->call(ref<schemas::Run>(run).retry()).error().code() ==
        runtime::errc::failed_precondition);
  CHECK(here.silo->call(ref<schemas::Run>(run).retry_from("c", false)).error().code() ==
        runtime::errc::not_found);
  const auto told = here.silo->call(ref<schemas::Run>(run).retry_from("a", true));
  REQUIRE(told);
  CHECK(told->tasks() == 2);
  REQUIRE(told->names().size() == 2);
  CHECK(std::string{told->names()[0].cStr()} == "a");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry_from("a", false)));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(fs::file_size(here.host->workspace_of(run) / "a.log") == 10);
}

TEST_CASE("a run goes on after the silo has stopped in its midst") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(R"yaml(name: through
tasks:
  - {name: a, run: echo a >> done.log}
  - {name: b, needs: [a], run: "test -e slow || { touch slow; sleep 600; }; echo b >> done.log",
     grace_period: 10ms}
  - {name: c, needs: [b], run: echo c >> done.log}
)yaml");
    here.wait_until_running(run, "b");
    // The command has begun once its marker is there; the silo then stops under it.
    here.eventually([&] { return fs::exists(here.host->workspace_of(run) / "slow"); });
  }
  node again{data.path};
  CHECK(again.wait(run) == RunState::SUCCEEDED);
  CHECK(again.task(run, "a").task().getAttempt() == 1);
  CHECK(again.task(run, "b").task().getAttempt() == 2);
  CHECK(fs::file_size(again.host->workspace_of(run) / "done.log") == 6);
}

TEST_CASE("a retry after a restart runs only what failed, in the list of runs too") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(R"yaml(name: later
tasks:
  - {name: a, run: echo once >> a.log}
  - {name: each, for_each: [1, 2, 3], fail_fast: false, needs: [a],
     run: "echo $MILLRACE_ITEM >> each.log; test $MILLRACE_ITEM != 2 || test -e repaired"}
  - {name: last, run: echo, needs: [each]}
)yaml");
    CHECK(here.wait(run) == RunState::FAILED);
  }
  node here{data.path};
  const auto listed = [&] {
    const auto page = here.silo->call(ref<schemas::Pipeline>("default/later").runs("", 0, "", ""));
    REQUIRE(page);
    REQUIRE(page->runs().size() == 1);
    return page->runs()[0].getState();
  };
  const auto before = here.silo->call(ref<schemas::Run>(run).status());
  CHECK(before->run().getTasks().getSucceeded() == 3);
  std::FILE* repaired = std::fopen((here.host->workspace_of(run) / "repaired").c_str(), "w");
  REQUIRE(repaired != nullptr);
  std::fclose(repaired);
  const auto retried = here.silo->call(ref<schemas::Run>(run).retry());
  REQUIRE(retried);
  CHECK(retried->tasks() == 2);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(fs::file_size(here.host->workspace_of(run) / "a.log") == 5);
  CHECK(fs::file_size(here.host->workspace_of(run) / "each.log") == 8);
  const auto status = here.silo->call(ref<schemas::Run>(run).status());
  CHECK(status->run().getTasks().getSucceeded() == 5);
  CHECK(status->run().getTasks().getFailed() == 0);
  CHECK(status->run().getTasks().getUpstreamFailed() == 0);
  CHECK(status->run().getTasks().getTotal() == 5);
  here.eventually([&] { return listed() == RunState::SUCCEEDED; });
}

// A gateway that hears nothing asks again; what it asked first may come when all is over.
TEST_CASE("a run that is asked for once more after its end is not listed as one that runs") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit("{name: p, tasks: [{name: t, run: 'true'}]}");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto listed = [&](const std::string& state) {
    const auto page = here.silo->call(ref<schemas::Pipeline>("default/p").runs("", 0, state, ""));
    REQUIRE(page);
    return page->runs().size();
  };
  node::eventually([&] { return listed("succeeded") == 1 && listed("running") == 0; });
  schemas::pipeline_interface::submit_new_params late;
  late.build().setRun(run.c_str());
  late.build().setParams("{}");
  REQUIRE(here.silo->call(ref<schemas::Pipeline>("default/p").submit_new(std::move(late))));
  node::eventually([&] { return listed("running") == 0; });
  CHECK(listed("succeeded") == 1);
}

TEST_CASE("a run's timeout ends it, and counts anew for a retry") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: limited
timeout: 200ms
tasks:
  - {name: a, run: sleep 600, grace_period: 10ms}
  - {name: b, run: echo, needs: [a]}
)yaml");
  CHECK(here.wait(run) == RunState::TIMED_OUT);
  CHECK(here.task(run, "a").task().getState() == TaskState::CANCELLED);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry()));
  CHECK(here.wait(run) == RunState::TIMED_OUT);
  CHECK(here.task(run, "a").task().getAttempt() == 2);
}

TEST_CASE("the delay before the next attempt survives a restart") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(R"yaml(name: delayed
tasks:
  - name: a
    run: test -e marker || { touch marker; exit 3; }
    retry: {max_attempts: 2, delay: 2s, jitter: 0}
)yaml");
    CHECK(here.follow(
        run, [](auto event) { return event.getReason() == "exit code 3; next attempt in 2s"; }));
  }
  node again{data.path};
  CHECK(again.wait(run) == RunState::SUCCEEDED);
  const auto a = attempts_of(*again.silo, run, "a");
  REQUIRE(a.attempts().size() == 2);
  CHECK(a.attempts()[1].getQueuedAt() - a.attempts()[0].getFinishedAt() >= 2'000'000'000);
}

TEST_CASE("a run that is being cancelled ends as cancelled after a restart") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(R"yaml(name: stubborn
tasks:
  - {name: done, run: echo}
  - {name: a, run: "trap '' TERM; touch deaf; sleep 600", needs: [done], grace_period: 300ms}
  - {name: b, run: echo, needs: [a]}
)yaml");
    here.eventually([&] { return fs::exists(here.host->workspace_of(run) / "deaf"); });
    REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
  }
  node again{data.path};
  CHECK(again.wait(run) == RunState::CANCELLED);
  CHECK(again.task(run, "done").task().getState() == TaskState::SUCCEEDED);
  CHECK(again.task(run, "a").task().getState() == TaskState::CANCELLED);
  CHECK(again.task(run, "a").task().getReason() == "enough");
  CHECK(again.task(run, "b").task().getState() == TaskState::CANCELLED);
}

TEST_CASE("a cancelled run tidies up, through a restart, and stays cancelled") {
  temporary_folder data;
  std::string run;
  const std::string text = R"yaml(name: tidy
tasks:
  - {name: a, run: sleep 600, grace_period: 10ms}
  - {name: b, needs: [a], run: echo}
  - {name: tidy, needs: [b], run_on: always,
     run: "test -e slow || { touch slow; sleep 600; }; touch tidied",
     grace_period: 10ms}
)yaml";
  {
    node here{data.path};
    run = here.submit(text);
    here.wait_until_running(run, "a");
    REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
    here.wait_until_running(run, "tidy");
    REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("twice", false)));  // no effect
    here.eventually([&] { return fs::exists(here.host->workspace_of(run) / "slow"); });
  }
  node here{data.path};
  CHECK(here.wait(run) == RunState::CANCELLED);
  CHECK(fs::exists(here.host->workspace_of(run) / "tidied"));
  CHECK(here.task(run, "a").task().getState() == TaskState::CANCELLED);
  CHECK(here.task(run, "b").task().getState() == TaskState::CANCELLED);
  CHECK(here.task(run, "tidy").task().getState() == TaskState::SUCCEEDED);
  const auto status = here.silo->call(ref<schemas::Run>(run).status());
  CHECK(status->run().getReason() == "enough");

  const auto forced = here.submit(text);
  here.wait_until_running(forced, "a");
  REQUIRE(here.silo->call(ref<schemas::Run>(forced).cancel("enough", false)));
  here.wait_until_running(forced, "tidy");
  REQUIRE(here.silo->call(ref<schemas::Run>(forced).cancel("at once", true)));
  CHECK(here.wait(forced) == RunState::CANCELLED);
  CHECK(here.task(forced, "tidy").task().getState() == TaskState::CANCELLED);
}

TEST_CASE("a run that is out of time tidies up and stays timed out") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: late
timeout: 100ms
tasks:
  - {name: a, run: sleep 600, grace_period: 10ms}
  - {name: tidy, needs: [a], run_on: always, run: exit 3}
)yaml");
  CHECK(here.wait(run) == RunState::TIMED_OUT);
  CHECK(here.task(run, "a").task().getState() == TaskState::CANCELLED);
  CHECK(here.task(run, "tidy").task().getState() == TaskState::FAILED);
}

TEST_CASE("a command starts with what cron gives, and `env` wins") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: home
env: {SHELL: /bin/other}
tasks:
  - {name: a, run: 'echo ~; cd; pwd; echo "$USER $LOGNAME $SHELL"; test -d "$TMPDIR" && mktemp'}
  - {name: b, run: 'echo "$HOME $TMPDIR"', env: {HOME: /elsewhere, TMPDIR: /tmp}}
)yaml");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto said = [&](const std::string& task) {
    const auto detail = here.silo->call(ref<schemas::Task>(run + "/" + task).describe());
    REQUIRE(detail);
    return text_of(detail->attempts()[0].getStdoutTail());
  };
  const auto* account = ::getpwuid(::geteuid());
  REQUIRE(account != nullptr);
  const std::string home = account->pw_dir;
  const std::string name = account->pw_name;
  CHECK(said("a").starts_with(home + "\n" + home + "\n" + name + " " + name + " /bin/other\n" +
                              data.path.string() + "/attempts/"));
  CHECK(said("b") == "/elsewhere /tmp\n");
}

TEST_CASE("an end that needed a KILL says so, and after how long") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: deaf
tasks:
  - {name: a, timeout: 2s, grace_period: 100ms, run: "trap '' TERM; while :; do sleep 1; done"}
  - {name: b, timeout: 2s, grace_period: 60s, run: exec sleep 600}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(text_of(here.task(run, "a").task().getReason()) ==
        "timed out after 2s, and needed a KILL 100ms later (grace_period)");
  CHECK(text_of(here.task(run, "b").task().getReason()) == "timed out after 2s");
}

TEST_CASE("a script of 3,000 lines runs, in whatever shell") {
  temporary_folder data;
  node here{data.path};
  for (const auto* const shell : {"", "    shell: bash\n", "    shell: [bash, -euc]\n"}) {
    std::string text = "name: long\ntasks:\n  - name: a\n" + std::string{shell} + "    run: |\n";
    for (int line = 0; line < 3000; ++line) {
      text += "      : a line of seventy bytes or so, of which there are three thousand here\n";
    }
    CHECK(here.wait(here.submit(text + "      echo end\n")) == RunState::SUCCEEDED);
    CHECK(here.wait(here.submit(text + "      false\n      echo end\n")) == RunState::FAILED);
  }
}

TEST_CASE("shell text ends at its first failure, unless another shell is chosen") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: shells
defaults: {shell: bash}
tasks:
  - {name: first, shell: sh, run: false; echo still here}
  - {name: pipe, run: false | true}
  - {name: plain, shell: sh, run: "false | true; case $- in *e*) ;; *) exit 1;; esac"}
  - {name: lenient, shell: [sh, -c], run: false; true}
  - {name: other, shell: [env, GREETING=hello, bash, -c], run: 'test "$GREETING" = hello'}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  for (const auto& [task, state] :
       {std::pair{"first", TaskState::FAILED}, std::pair{"pipe", TaskState::FAILED},
        std::pair{"plain", TaskState::SUCCEEDED}, std::pair{"lenient", TaskState::SUCCEEDED},
        std::pair{"other", TaskState::SUCCEEDED}}) {
    CAPTURE(task);
    CHECK(here.task(run, task).task().getState() == state);
  }
  const auto detail = here.silo->call(ref<schemas::Task>(run + "/first").describe());
  REQUIRE(detail);
  CHECK(detail->attempts()[0].getStdoutTail().size() == 0);
}

TEST_CASE("a command starts in its workdir, with what it is told of the definition's folder") {
  temporary_folder data;
  node here{data.path};
  const auto text = R"yaml(name: places
params: {where: made/by us}
tasks:
  - name: inside
    workdir: ${{ params.where }}
    run: pwd; echo "$MILLRACE_WORKSPACE"; echo x > f
  - {name: again, needs: inside, workdir: made, run: "cat 'by us/f'"}
  - {name: outside, workdir: /usr, run: pwd}
  - {name: missing, workdir: /no/such/place, run: pwd}
  - {name: file, needs: inside, workdir: made/by us/f, run: pwd}
  - {name: source, run: 'echo "${MILLRACE_SOURCE-none}"'}
)yaml";
  const auto run = here.submit(text);
  CHECK(here.wait(run) == RunState::FAILED);
  const auto told = [&](const std::string& which, const std::string& task) {
    const auto detail = here.silo->call(ref<schemas::Task>(which + "/" + task).describe());
    REQUIRE(detail);
    return text_of(detail->attempts()[0].getStdoutTail());
  };
  const auto workspace = here.host->workspace_of(run).string();
  CHECK(told(run, "inside") == workspace + "/made/by us\n" + workspace + "\n");
  CHECK(told(run, "again") == "x\n");
  CHECK(told(run, "outside") == "/usr\n");
  CHECK(told(run, "source") == "none\n");
  CHECK(here.task(run, "missing").task().getState() == TaskState::ERRORED);
  CHECK(text_of(here.task(run, "missing").task().getReason()).find("/no/such/place") !=
        std::string::npos);
  CHECK(here.task(run, "file").task().getState() == TaskState::ERRORED);
  const auto out = here.submit(text, R"({"where":"../out"})");
  CHECK(here.wait(out) == RunState::FAILED);
  CHECK(text_of(here.task(out, "inside").task().getReason()) ==
        "workdir '../out' leads out of the workspace");

  schemas::pipeline_interface::submit_params submission;
  submission.build().setParams("{}");
  submission.build().setSource("/the/folder");
  const auto with_source =
      here.silo->call(ref<schemas::Pipeline>("default/places").submit(std::move(submission)));
  REQUIRE(with_source);
  const std::string third{with_source->run()};
  static_cast<void>(here.wait(third));
  CHECK(told(third, "source") == "/the/folder\n");
}

// Method: 3,000 outputs of 100 bytes, more than one variable holds.
TEST_CASE("what is too large for a variable reaches a command as a file") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: wide
params: {list: {type: list, default: [1, two]}}
tasks:
  - name: many
    run: |
      for n in $(seq 200); do printf 'o%s=%0100d\n' $n $n; done >> $MILLRACE_OUTPUT
  - name: each
    for_each: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    run: |
      head -c 20000 /dev/zero | tr '\0' x | sed 's/^/big=/' >> $MILLRACE_OUTPUT
      echo >> $MILLRACE_OUTPUT
    outputs: [big]
  - {name: variable, needs: each, env: {ALL: "${{ tasks.each.outputs.big }}"}, run: echo}
  - name: file
    needs: each
    inputs:
      all: ${{ tasks.each.outputs.big }}
      list: ${{ params.list }}
      run: {id: "run ${{ run.id }}", n: [1, true]}
    run: |
      wc -c < $MILLRACE_INPUTS
      sed 's/"x*"/X/g' $MILLRACE_INPUTS
      test "${MILLRACE_INPUTS%/*}" = "${MILLRACE_OUTPUT%/*}"
  - {name: none, run: 'echo "${MILLRACE_INPUTS-unset}"'}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  const auto reason = text_of(here.task(run, "variable").task().getReason());
  CAPTURE(reason);
  CHECK(reason.starts_with("env ALL: with its name it has 2000"));
  CHECK(reason.find("`inputs`") != std::string::npos);
  const auto told = [&](const std::string& task) {
    const auto detail = here.silo->call(ref<schemas::Task>(run + "/" + task).describe());
    REQUIRE(detail);
    return text_of(detail->attempts()[0].getStdoutTail());
  };
  CHECK(here.task(run, "file").task().getState() == TaskState::SUCCEEDED);
  const auto shown = told("file");
  CHECK(std::stoi(shown) > 200'000);
  CHECK(shown.substr(shown.find('\n') + 1) ==
        R"({"all":[X,X,X,X,X,X,X,X,X,X],"list":[1,"two"],"run":{"id":"run )" + run +
            R"(","n":[1,true]}})");
  CHECK(told("none") == "unset\n");
}

TEST_CASE("what a task leaves behind in another session lives only where that is allowed") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: left
tasks:
  - {name: ends,
     run: "setsid sh -c 'echo $$ > ends; exec sleep 600' & until test -s ends; do :; done"}
  - {name: stays, detach: allowed,
     run: "setsid sh -c 'echo $$ > stays; exec sleep 600' & until test -s stays; do :; done"}
)yaml");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto pid_in = [&](const char* file) {
    pid_t pid = 0;
    std::ifstream{here.host->workspace_of(run) / file} >> pid;
    REQUIRE(pid > 1);
    return pid;
  };
  CHECK(::kill(pid_in("ends"), 0) != 0);
  CHECK(::kill(pid_in("stays"), 0) == 0);
  REQUIRE(::kill(pid_in("stays"), SIGKILL) == 0);
}

TEST_CASE("a run that writes no file leaves none") {
  temporary_folder data;
  std::string shared;
  std::string apart;
  {
    node here{data.path};
    const std::string tasks =
        "tasks: [{name: a, run: 'true'}, {name: b, needs: [a], run: 'true'}]\n";
    shared = here.submit("name: quiet\n" + tasks);
    apart = here.submit("name: apart\nworkspace: task\n" + tasks);
    CHECK(here.wait(shared) == RunState::SUCCEEDED);
    CHECK(here.wait(apart) == RunState::SUCCEEDED);
    for (const auto& run : {shared, apart}) {
      CHECK_FALSE(fs::exists(here.host->workspace_of(run)));
    }
    // Its empty directory is the next one's.
    const auto next = here.submit("name: next\ntasks: [{name: a, run: ls -A; echo x > file}]\n");
    CHECK(here.wait(next) == RunState::SUCCEEDED);
    CHECK(fs::exists(here.host->workspace_of(next) / "file"));
    CHECK_FALSE(fs::exists(here.host->logs_of(next, "a", 1).standard_output));
  }
  for (const auto* folder : {"logs", "workspaces", "attempts"}) {
    for (const auto& run : {shared, apart}) {
      CHECK_FALSE(fs::exists(data.path / folder / run));
    }
  }
}

// Method: what a task does to its output file, the run's workspace or its own directory must end as
// the table says, and a run beside it must not notice.
TEST_CASE("a task that replaces what it was given harms itself only, and is told") {
  struct harm {
    const char* command;
    TaskState end;
    const char* reason;
  };
  constexpr auto out = "the output file was replaced by ";
  const harm table[] = {
      {"rm -f \"$MILLRACE_OUTPUT\"; mkfifo \"$MILLRACE_OUTPUT\"", TaskState::FAILED, "a pipe"},
      {"rm -f \"$MILLRACE_OUTPUT\"; mkdir \"$MILLRACE_OUTPUT\"", TaskState::FAILED, "a directory"},
      {"ln -sf /etc/passwd \"$MILLRACE_OUTPUT\"", TaskState::FAILED, "a symbolic link"},
  };
  temporary_folder data;
  node here{data.path};
  for (const auto& each : table) {
    CAPTURE(each.command);
    const auto run = here.submit("name: harm\ntasks:\n  - name: a\n    run: |\n      " +
                                 std::string{each.command} + "\n");
    CHECK(here.wait(run) == RunState::FAILED);
    const auto task = here.task(run, "a");
    CHECK(task.task().getState() == each.end);
    CHECK(text_of(task.task().getReason()) ==
          out + std::string{each.reason} + "; write to $MILLRACE_OUTPUT, do not replace it");
  }
  const auto moved = here.submit(R"yaml(name: moved
tasks:
  - {name: a, run: 'cd /; rm -r "$MILLRACE_WORKSPACE"; mkfifo "$MILLRACE_WORKSPACE"'}
  - {name: b, needs: [a], run: 'true'}
)yaml");
  CHECK(here.wait(moved) == RunState::FAILED);
  CHECK(here.task(moved, "a").task().getState() == TaskState::SUCCEEDED);
  CHECK(here.task(moved, "b").task().getState() == TaskState::ERRORED);
  CHECK(text_of(here.task(moved, "b").task().getReason()) ==
        "could not start: the workspace " + moved +
            " is a pipe, not a directory; remove what a task has put in its place");
  const auto well = here.submit("name: well\ntasks: [{name: a, run: 'true'}]\n");
  CHECK(here.wait(well) == RunState::SUCCEEDED);
}

TEST_CASE("an ended run is removed with its tasks and files, one that runs is not") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(R"yaml(name: gone
tasks:
  - {name: a, run: echo a; echo a > file; sleep 600, grace_period: 10ms}
  - {name: b, needs: [a], run: echo}
)yaml");
    here.wait_until_running(run, "a");
    here.eventually([&] { return fs::exists(here.host->workspace_of(run) / "file"); });
    const auto early = here.silo->call(ref<schemas::Run>(run).remove());
    CHECK(early.error().code() == runtime::errc::failed_precondition);
    REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
    CHECK(here.wait(run) == RunState::CANCELLED);
    CHECK(fs::exists(here.host->workspace_of(run)));
    REQUIRE(here.silo->call(ref<schemas::Run>(run).remove()));
    CHECK(here.silo->call(ref<schemas::Run>(run).status()).error().code() ==
          runtime::errc::not_found);
    CHECK(here.silo->call(ref<schemas::Run>(run).remove()).error().code() ==
          runtime::errc::not_found);
  }
  node here{data.path};
  here.eventually([&] {
    return !fs::exists(here.host->workspace_of(run)) &&
           !fs::exists(here.host->logs_of(run, "a", 1).standard_output.parent_path());
  });
  here.eventually([&] {
    const auto task = here.silo->call(ref<schemas::Task>(run + "/a").describe());
    return !task && task.error().code() == runtime::errc::not_found;
  });
  here.eventually([&] {
    return here.silo->call(ref<schemas::Pipeline>("default/gone").runs("", 0, "", ""))
               ->runs()
               .size() == 0;
  });
  for (const auto& failure : {here.silo->call(ref<schemas::Run>(run).tasks("", 0, "")).error(),
                              here.silo->call(ref<schemas::Run>(run).events(0, 0, 0)).error(),
                              here.silo->call(ref<schemas::Run>(run).retry()).error(),
                              here.silo->call(ref<schemas::Run>(run).cancel("", false)).error()}) {
    CHECK(failure.code() == runtime::errc::not_found);
  }
}

// Goal: a pipeline goes with its runs and versions, through a restart, and can be made anew.
TEST_CASE("a pipeline is removed with its ended runs, and not while one goes on") {
  temporary_folder data;
  const auto pipeline = ref<schemas::Pipeline>("default/gone");
  const auto text = [](const std::string& command) {
    return "name: gone\ntasks: [{name: a, run: " + command + ", grace_period: 10ms}]\n";
  };
  std::string ended;
  {
    node here{data.path};
    CHECK(here.silo->call(pipeline.remove(0)).error().code() == runtime::errc::not_found);
    ended = here.submit(text("echo"));
    CHECK(here.wait(ended) == RunState::SUCCEEDED);
    const auto run = here.submit(text("sleep 600"));
    here.wait_until_running(run, "a");
    CHECK(here.silo->call(pipeline.remove(0)).error().code() == runtime::errc::failed_precondition);
    REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("enough", false)));
    CHECK(here.wait(run) == RunState::CANCELLED);
    auto removed = false;  // once the pipeline has heard of the run's end
    here.eventually([&] { return removed = removed || here.silo->call(pipeline.remove(0)); });
    for (const auto& failure : {here.silo->call(pipeline.describe(0)).error(),
                                here.silo->call(pipeline.remove(0)).error(),
                                here.silo->call(pipeline.runs("", 0, "", "")).error(),
                                here.silo->call(pipeline.submit({})).error()}) {
      CHECK(failure.code() == runtime::errc::not_found);
    }
  }
  node here{data.path};
  CHECK_FALSE(here.silo->call(pipeline.describe(0)));  // asking makes the removal go on
  here.eventually([&] {
    const auto status = here.silo->call(ref<schemas::Run>(ended).status());
    return !status && status.error().code() == runtime::errc::not_found;
  });
  here.eventually([&] {
    return here.silo->call(ref<schemas::Project>("default").pipelines("", 0))->pipelines().size() ==
           0;
  });
  const auto made = load_definition(text("echo"), "");
  runtime::result<schemas::pipeline_interface::apply_results> applied =
      runtime::error{runtime::errc::internal, ""};
  here.eventually([&] {  // refused until all of it has gone
    if (applied) {
      return true;
    }
    applied =
        here.silo->call(pipeline.apply(to_json(*made.definition), 0, schemas::ApplyOnlyIf::ABSENT));
    return static_cast<bool>(applied);
  });
  CHECK(applied->version() == 1);
  CHECK(here.wait(here.submit(text("echo"))) == RunState::SUCCEEDED);
}

// Goal: the removal of a run of any width is bounded a step, and ends.
// Method: more instances than one step takes; their condition is false, so no process is needed.
TEST_CASE("a wide run is removed step by step") {
  temporary_folder data;
  node here{data.path};
  std::string list = "1";
  for (int at = 1; at < 2'500; ++at) {
    list += ",1";
  }
  const auto run = here.submit("name: wide\ntasks: [{name: a, run: echo, for_each: [" + list +
                               "], when: '${{ item == 2 }}'}]\n");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto rows = [&] {
    const auto page = here.silo->state_of({"run", run}, {.map = "instances", .limit = 1});
    return page ? page->maps.at(0).records.size() : 0;
  };
  CHECK(rows() == 1);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).remove()));
  here.eventually([&] { return rows() == 0; });
}

TEST_CASE("runs are listed in pages, the newest first") {
  temporary_folder data;
  node here{data.path};
  std::vector<std::string> made;
  for (int at = 0; at < 5; ++at) {
    made.push_back(here.submit("name: many\ntasks: [{name: a, run: echo}]\n"));
    here.wait(made.back());
  }
  std::vector<std::string> listed;
  std::string before;
  do {
    const auto page =
        here.silo->call(ref<schemas::Pipeline>("default/many").runs(before, 2, "", ""));
    REQUIRE(page);
    CHECK(page->runs().size() <= 2);
    for (auto each : page->runs()) {
      listed.emplace_back(each.getId().cStr());
    }
    before = page->next_cursor();
  } while (!before.empty());
  const auto in_state = [&](const std::string& state, std::uint32_t limit) {
    return here.silo->call(ref<schemas::Pipeline>("default/many").runs("", limit, state, ""));
  };
  here.eventually([&] { return in_state("succeeded", 0)->runs().size() == 5; });
  const auto newest = in_state("succeeded", 1);
  CHECK(newest->runs()[0].getId() == listed[0].c_str());
  CHECK(newest->next_cursor() == listed[0]);
  CHECK(in_state("running", 0)->runs().size() == 0);
  CHECK(in_state("nope", 0).error().code() == runtime::errc::invalid_argument);
  std::reverse(listed.begin(), listed.end());
  std::sort(made.begin(), made.end());
  CHECK(listed == made);
}

}  // namespace
}  // namespace millrace::actors
