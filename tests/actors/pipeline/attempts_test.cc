// SPDX-License-Identifier: MIT
// What a task says of its attempts: how long they may wait, run and be silent, what later ones run,
// what is a success, and what is an output. On a real silo, with real processes.
#include <algorithm>
#include <fstream>

#include "actors/pipeline/several_executors.h"

namespace millrace::actors {
namespace {

using runtime::ref;
using schemas::AttemptEnd;
using schemas::RunState;
using schemas::TaskState;

std::string output_of(node& here, const std::string& run, const std::string& task) {
  const auto status = here.task(run, task);
  const auto outputs = status.task().getOutputs();
  return outputs.size() == 1 ? outputs[0].getValue().cStr() : "";
}

TEST_CASE("an attempt that waits too long for its slot is taken out of the pool") {
  temporary_folder data;
  pipeline_host_options one_slot;
  one_slot.slots = 1;
  node here{data.path, one_slot};
  const auto holds = here.submit("{name: h, tasks: [{name: holds, run: sleep 600}]}");
  here.wait_until_running(holds, "holds");
  const auto run = here.submit(R"yaml(name: p
tasks:
  - {name: waits, run: x, start_timeout: 200ms, retry: 3}
  - {name: after, needs: [waits], run: x}
)yaml");
  CHECK(here.follow(run, [](auto event) {
    return event.getName() == "waits" && event.getState() == TaskState::TIMED_OUT;
  }));
  const auto waits = attempts_of(*here.silo, run, "waits");
  REQUIRE(waits.attempts().size() == 1);
  CHECK(waits.attempts()[0].getEnd() == AttemptEnd::TIMED_OUT);
  CHECK(waits.attempts()[0].getStartedAt() == 0);
  const std::string reason{waits.reason()};
  CHECK(reason.starts_with("did not start within 200ms; "));
  CHECK(reason == waits.attempts()[0].getText().cStr());
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(holds, "holds").task().getState() == TaskState::RUNNING);
  CHECK(here.silo->call(ref<schemas::Run>(holds).cancel("enough", true)));
  CHECK(here.wait(holds) == RunState::CANCELLED);
  CHECK(here.wait(here.submit("{name: q, tasks: [{name: a, run: 'true'}]}")) ==
        RunState::SUCCEEDED);  // the slot is free again
}

TEST_CASE("what limits the wait for a slot outlives the silo, and starts anew with each attempt") {
  temporary_folder data;
  std::string run;
  {
    node here{data.path};
    run = here.submit(
        "{name: p, tasks: [{name: a, run: x, start_timeout: 1s, resources: {gpu: 1}}]}");
    node::eventually([&] {
      const auto begun = here.silo->call(ref<schemas::Task>(run + "/a").describe());
      return begun && begun->attempts().size() == 1;
    });
  }
  node here{data.path};
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "a").task().getState() == TaskState::TIMED_OUT);
  CHECK(here.task(run, "a").task().getReason() ==
        "did not start within 1s; wants 1 gpu; no executor offers any");
  CHECK(here.silo->call(ref<schemas::Run>(run).retry()));
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.task(run, "a").task().getAttempt() == 2);
  CHECK(here.task(run, "a").task().getState() == TaskState::TIMED_OUT);
}

TEST_CASE("an attempt that started in time may run for longer than it might have waited") {
  testing::several_executors lab{{"a"}, 1};
  const auto go = (lab.folder.path / "go").string();
  const auto run = lab.submit("{name: p, tasks: [{name: a, run: 'until test -e " + go +
                              "; do sleep 0.02; done', start_timeout: 10s, retry: 2}]}");
  lab.wait_until(run, "a", TaskState::RUNNING);
  lab.pass(std::chrono::seconds{12}, {"silo/a"});
  std::ofstream{go}.close();
  CHECK(lab.wait(run) == RunState::SUCCEEDED);
  CHECK(lab.task(run, "a").attempts().size() == 1);
}

TEST_CASE("a command that is silent is ended, and the next attempt runs what is for later ones") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
params: {silence: {type: string, default: 1s}}
tasks:
  - name: work
    heartbeat: ${{ params.silence }}
    grace_period: 0
    run: echo first >> runs; sleep 60
    retry:
      max_attempts: 3
      delay: 10ms
      command: [sh, -c, 'echo "$MILLRACE_ATTEMPT" >> runs; test "$(wc -l < runs)" -ge 3']
  - {name: show, needs: [work], command: [cat, runs], stdout: runs}
)yaml");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(output_of(here, run, "show") == "first\n2\n3");
  const auto work = attempts_of(*here.silo, run, "work");
  REQUIRE(work.attempts().size() == 3);
  CHECK(work.attempts()[0].getEnd() == AttemptEnd::TIMED_OUT);
  CHECK(work.attempts()[0].getText() == "no heartbeat for 1s");
  CHECK(work.attempts()[1].getText() == "exit code 1");
  CHECK(work.command()[1] == "-c");

  // A retry of the run starts the task anew.
  const auto again = here.silo->call(ref<schemas::Run>(run).retry_from("work", false));
  REQUIRE(again);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(output_of(here, run, "show") == "first\n2\n3\nfirst\n5");
}

TEST_CASE("a task that takes more memory than it may has failed, and says so") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
tasks:
  - name: greedy
    limits: {memory: 64Mi}
    retry: {max_attempts: 3, delay: 0s, not_on_exit: 137}
    run: '{ head -c 200M /dev/zero; sleep 1000; } | tail -c 200M'
  - {name: modest, limits: {memory: 64Mi}, run: 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  const auto greedy = attempts_of(*here.silo, run, "greedy");
  REQUIRE(greedy.attempts().size() == 1);
  const auto ended = greedy.attempts()[0];
  CHECK(ended.getEnd() == AttemptEnd::SIGNALLED);
  CHECK(std::string_view{ended.getText().cStr()}.starts_with("out of memory: its processes had "));
  CHECK(std::string_view{ended.getText().cStr()}.ends_with("Mi, and its limit is 64Mi"));
  CHECK(ended.getMaxMemory() > std::int64_t{64} << 20U);
  CHECK(here.task(run, "greedy").task().getState() == TaskState::FAILED);
  CHECK(here.task(run, "modest").task().getState() == TaskState::SUCCEEDED);
  CHECK(attempts_of(*here.silo, run, "modest").attempts()[0].getCpuMs() > 0);
}

TEST_CASE("a task says which exit codes are a success, and what it writes is kept then") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
tasks:
  - name: three
    run: echo k=v >> "$MILLRACE_OUTPUT"; exit 3
    outputs: [k]
    success_exit_codes: [0, 3]
  - name: after
    needs: [three]
    command: [echo, "${{ tasks.three.outputs.k }} ${{ tasks.three.exit_code }}"]
    stdout: seen
  - {name: zero, run: exit 0, success_exit_codes: 3, allow_failures: true}
  - {name: killed, run: kill -9 $$, success_exit_codes: [0, 137], allow_failures: true}
  - {name: lacks, run: exit 3, success_exit_codes: [0, 3], outputs: [k], allow_failures: true}
  - name: odd
    run: echo odd >> "$MILLRACE_OUTPUT"; exit 3
    success_exit_codes: [0, 3]
    allow_failures: true
  - {name: fails, run: echo odd >> "$MILLRACE_OUTPUT"; exit 4, allow_failures: true}
)yaml");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(here.task(run, "three").task().getState() == TaskState::SUCCEEDED);
  CHECK(here.task(run, "three").task().getExitCode() == 3);
  CHECK(output_of(here, run, "after") == "v 3");
  const auto reason = [&](const char* task) {
    CHECK(here.task(run, task).task().getState() == TaskState::FAILED);
    return std::string{here.task(run, task).task().getReason().cStr()};
  };
  CHECK(reason("zero") == "exit code 0");
  CHECK(reason("killed") == "killed by SIGKILL");
  CHECK(reason("lacks").starts_with("wrote no value for output \"k\""));
  CHECK(reason("odd").starts_with("$MILLRACE_OUTPUT: line 1: \"odd\" is neither key=value"));
  CHECK(reason("fails") == "exit code 4");
}

TEST_CASE("standard output is an output where the task says so, within the bounds of outputs") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
tasks:
  - name: two
    run: |
      echo text=other >> "$MILLRACE_OUTPUT"
      echo more=m >> "$MILLRACE_OUTPUT"
      printf 'one\n\ntwo\n\n'
    stdout: text
    outputs: [more]
  - {name: none, run: 'true', stdout: text}
  - name: fan
    for_each: [a, b]
    run: echo "$MILLRACE_ITEM"
    stdout: text
  - name: sum
    needs: [two, none, fan]
    command: [echo, "${{ tasks.two.outputs.text }}|${{ tasks.two.outputs.more }}",
              "${{ tasks.none.outputs.text }}|${{ join(tasks.fan.outputs.text, '+') }}"]
    stdout: all
  - {name: raw, run: printf '\377', stdout: text, allow_failures: true}
)yaml");
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(output_of(here, run, "sum") == "one\n\ntwo\n|m |a+b");
  CHECK(attempts_of(*here.silo, run, "two").attempts()[0].getStdoutTail() == "one\n\ntwo\n\n");
  const auto reason = [&](const char* task) {
    CHECK(attempts_of(*here.silo, run, task).attempts()[0].getEnd() == AttemptEnd::BAD_OUTPUTS);
    return std::string{here.task(run, task).task().getReason().cStr()};
  };
  CHECK(
      reason("raw").starts_with("standard output, which is the output \"text\": it is not UTF-8"));
}

// Goal: a duration that is only known when a task begins is held to, and what is none is told.
TEST_CASE("limits of time are filled in for each instance") {
  temporary_folder data;
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
params: {limit: {type: string}, short: 200ms}
tasks:
  - {name: says, run: echo soon, stdout: limit}
  - name: fan
    matrix: {limit: [100ms, 90, 0s]}
    timeout: ${{ matrix.limit }}
    grace_period: 0
    run: sleep 60
    fail_fast: false
    allow_failures: true
  - {name: none, run: x, start_timeout: "${{ params.limit }}", allow_failures: true}
  - {name: word, needs: [says], run: x, timeout: "${{ tasks.says.outputs.limit }}",
     allow_failures: true}
  - {name: beat, run: x, heartbeat: "${{ params.short }}", allow_failures: true}
  - {name: gate, approval: Well, timeout: "${{ params.short }}"}
  - {name: child, pipeline: p, timeout: "${{ params.limit }}", allow_failures: true}
)yaml");
  CHECK(here.wait(run) == RunState::FAILED);
  const auto reason = [&](const char* task, TaskState state) {
    CHECK(here.task(run, task).task().getState() == state);
    return std::string{here.task(run, task).task().getReason().cStr()};
  };
  CHECK(reason("fan[0]", TaskState::TIMED_OUT) == "timed out after 100ms");
  CHECK(reason("fan[1]", TaskState::ERRORED) ==
        "timeout: `90` is not a duration (it needs a unit: write `90s`)");
  CHECK(reason("fan[2]", TaskState::ERRORED) == "timeout: it must be at least 1ms, and is 0");
  CHECK(reason("none", TaskState::ERRORED) == "start_timeout: `${{ params.limit }}` has no value");
  CHECK(reason("word", TaskState::ERRORED).starts_with("timeout: `soon` is not a duration"));
  CHECK(reason("beat", TaskState::ERRORED) == "heartbeat: it must be at least 1s, and is 200ms");
  CHECK(reason("gate", TaskState::TIMED_OUT) == "nobody answered within 200ms");
  CHECK(reason("child", TaskState::ERRORED) == "timeout: `${{ params.limit }}` has no value");
}

}  // namespace
}  // namespace millrace::actors
