// SPDX-License-Identifier: MIT
// What a run, an attempt and its command look like in a trace.
#include "run/run_spans.h"

#include <doctest/doctest.h>

#include <capnp/message.h>

#include "executor/attempt_command.h"

namespace millrace::actors {
namespace {

using runtime::span;
using runtime::span_id;
using runtime::trace_context;
using schemas::AttemptEnd;
using schemas::RunState;

constexpr const char* run_key = "0197a1b2-c3d4-7e5f-8123-456789abcdef";
const trace_context submitted{{1, 2}, span_id{3}, true};

runtime::wall_time at(std::int64_t nanoseconds) {
  return runtime::wall_time{runtime::duration{nanoseconds}};
}

std::string attribute(const span& of, std::string_view name) {
  for (const auto& each : of.attributes) {
    if (each.name == name) {
      const auto* text = std::get_if<std::string>(&each.value);
      return text != nullptr ? *text : std::to_string(std::get<std::int64_t>(each.value));
    }
  }
  return "none";
}

TEST_CASE("a place in a trace is stored and read") {
  capnp::MallocMessageBuilder message;
  auto stored = message.initRoot<schemas::TracePlace>();
  CHECK_FALSE(place_of(stored.asReader()));
  store_place(submitted, stored);
  CHECK(place_of(stored.asReader()) == submitted);
}

TEST_CASE("a run that nobody's trace asked for has one of its id") {
  CHECK(to_string(trace_of_run(run_key)) == "0197a1b2c3d47e5f8123456789abcdef");
  CHECK_FALSE(trace_of_run("no id"));
}

TEST_CASE("a span's id follows from its name, and each beginning of a run has its own") {
  const auto first = run_place(submitted, run_key, 10);
  CHECK(first.trace == submitted.trace);
  CHECK(first.is_sampled);
  CHECK(first == run_place(submitted, run_key, 10));
  CHECK(first.span != run_place(submitted, run_key, 11).span);
  CHECK(first.span != submitted.span);
  CHECK(attempt_place(first, "T.A1").span != attempt_place(first, "T.A2").span);
  CHECK_FALSE(run_place({}, run_key, 10));
  CHECK_FALSE(attempt_place(run_place({}, run_key, 10), "T.A1"));
}

span of_run(RunState state, const trace_context& from = submitted) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schemas::RunStored>();
  root.setProject("p");
  root.setPipeline("nightly");
  root.setVersion(7);
  root.setState(state);
  root.setReason("task b failed");
  root.setFinishedAt(90);
  return span_of(ended_run{run_key, root.asReader(), 50}, from);
}

TEST_CASE("a run's span lasts from its submission to its end, and says how that was") {
  const auto good = of_run(RunState::SUCCEEDED);
  CHECK(good.name == "run nightly");
  CHECK(good.own == run_place(submitted, run_key, 50));
  CHECK(good.parent == submitted.span);
  CHECK(good.start == at(50));
  CHECK(good.end == at(90));
  CHECK(attribute(good, "cicd.pipeline.run.id") == run_key);
  CHECK(attribute(good, "cicd.pipeline.result") == "success");
  CHECK(attribute(good, "millrace.pipeline.version") == "7");
  CHECK_FALSE(good.has_failed);

  const auto bad = of_run(RunState::FAILED);
  CHECK(attribute(bad, "cicd.pipeline.result") == "failure");
  CHECK(bad.has_failed);
  CHECK(bad.failure == "task b failed");
  CHECK(attribute(of_run(RunState::TIMED_OUT), "cicd.pipeline.result") == "timeout");
  const auto withdrawn = of_run(RunState::CANCELLED);
  CHECK(attribute(withdrawn, "cicd.pipeline.result") == "cancellation");
  CHECK_FALSE(withdrawn.has_failed);
  CHECK(of_run(RunState::SUCCEEDED, {{1, 2}, span_id::none, true}).parent == span_id::none);
}

struct attempt_rows {
  capnp::MallocMessageBuilder message;
  capnp::MallocMessageBuilder more;
  schemas::TaskSpec::Builder spec = message.initRoot<schemas::TaskSpec>();
  schemas::Attempt::Builder row = more.initRoot<schemas::Attempt>();
  attempt_rows() {
    spec.setRun(run_key);
    spec.setTask("count");
    spec.setIndex(4);
    store_place(run_place(submitted, run_key, 50), spec.initTrace());
    row.setNumber(2);
    row.setExecutor("b");
    row.setQueuedAt(60);
    row.setStartedAt(70);
    row.setFinishedAt(80);
  }
  span told(AttemptEnd end, int exit_code) {
    row.setEnd(end);
    row.setExitCode(exit_code);
    row.setText("exit code 3");
    return span_of(ended_attempt{"T.A2", spec.asReader(), row.asReader()});
  }
};

TEST_CASE("an attempt's span begins when it waits for a slot; its start is an event") {
  attempt_rows rows;
  const auto told = rows.told(AttemptEnd::EXITED, 0);
  const auto run = run_place(submitted, run_key, 50);
  CHECK(told.name == "attempt count");
  CHECK(told.own == attempt_place(run, "T.A2"));
  CHECK(told.parent == run.span);
  CHECK(told.start == at(60));
  CHECK(told.end == at(80));
  REQUIRE(told.events.size() == 1);
  CHECK(told.events[0].name == "started");
  CHECK(told.events[0].at == at(70));
  CHECK(attribute(told, "cicd.pipeline.task.run.result") == "success");
  CHECK(attribute(told, "millrace.executor") == "b");
  CHECK(attribute(told, "millrace.task.index") == "4");
  CHECK(attribute(told, "process.exit.code") == "0");
  rows.row.setQueuedAt(0);  // of an older program
  CHECK(rows.told(AttemptEnd::EXITED, 0).start == at(70));
  rows.row.setStartedAt(0);
  CHECK(rows.told(AttemptEnd::LOST, -1).start == at(80));
  CHECK(rows.told(AttemptEnd::LOST, -1).events.empty());
}

TEST_CASE("how an attempt ended is told apart: the command's fault, and the system's") {
  attempt_rows rows;
  const auto result = [&](AttemptEnd end, int exit_code) {
    return attribute(rows.told(end, exit_code), "cicd.pipeline.task.run.result");
  };
  CHECK(result(AttemptEnd::EXITED, 3) == "failure");
  CHECK(result(AttemptEnd::SIGNALLED, -1) == "failure");
  CHECK(result(AttemptEnd::BAD_OUTPUTS, 0) == "failure");
  CHECK(result(AttemptEnd::TIMED_OUT, -1) == "timeout");
  CHECK(result(AttemptEnd::CANCELLED, -1) == "cancellation");
  CHECK(result(AttemptEnd::LOST, -1) == "error");
  CHECK(result(AttemptEnd::NOT_STARTED, -1) == "error");
  CHECK(rows.told(AttemptEnd::EXITED, 3).has_failed);
  CHECK(rows.told(AttemptEnd::EXITED, 3).failure == "exit code 3");
  CHECK_FALSE(rows.told(AttemptEnd::CANCELLED, -1).has_failed);
  CHECK(attribute(rows.told(AttemptEnd::LOST, -1), "process.exit.code") == "none");
  rows.spec.initSuccessExitCodes(1).set(0, 3);
  CHECK(result(AttemptEnd::EXITED, 3) == "success");
  CHECK(result(AttemptEnd::EXITED, 0) == "failure");
  CHECK(result(AttemptEnd::BAD_OUTPUTS, 3) == "failure");
}

TEST_CASE("a command hangs below its attempt, and is told where it is") {
  capnp::MallocMessageBuilder message;
  capnp::MallocMessageBuilder more;
  auto attempt = message.initRoot<schemas::AttemptSpec>();
  attempt.setToken("T.A2");
  const auto place = attempt_place(run_place(submitted, run_key, 50), "T.A2");
  store_place(place, attempt.initTrace());
  auto report = more.initRoot<schemas::AttemptReport>();
  report.setEnd(AttemptEnd::EXITED);
  report.setExitCode(3);
  report.setStartedAt(70);
  report.setFinishedAt(79);
  const auto told = span_of_command(attempt.asReader(), report.asReader());
  CHECK(told.name == "command");
  CHECK(told.parent == place.span);
  CHECK(told.own.span != place.span);
  CHECK(told.start == at(70));
  CHECK(told.end == at(79));
  CHECK(told.has_failed);
  CHECK(told.failure == "exit code 3");
  attempt.initSuccessExitCodes(1).set(0, 3);
  CHECK_FALSE(span_of_command(attempt.asReader(), report.asReader()).has_failed);

  const auto variable = [&] {
    std::string all;
    for (const auto& each : command_of(attempt.asReader(), "/w").environment) {
      all += each.starts_with("TRACEPARENT=") ? each : "";
    }
    return all;
  };
  CHECK(variable() == "TRACEPARENT=" + to_traceparent(place));
  auto own = attempt.initEnvironment(1);
  own[0].setName("TRACEPARENT");
  own[0].setValue("mine");
  CHECK(variable() == "TRACEPARENT=mine");
  attempt.initEnvironment(0);
  attempt.disownTrace();
  CHECK(variable().empty());  // of a task of an older program
}

}  // namespace
}  // namespace millrace::actors
