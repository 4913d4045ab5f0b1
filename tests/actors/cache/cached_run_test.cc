// SPDX-License-Identifier: MIT
// Runs that use results of earlier ones, on a real silo, with real processes.
#include <filesystem>
#include <fstream>

#include "actors/pipeline/fixture.h"
#include "millrace/cache.capnp.actor.h"

namespace millrace::actors {
namespace {

namespace fs = std::filesystem;
using runtime::ref;
using schemas::AttemptEnd;
using schemas::RunState;
using schemas::TaskState;

// How often the commands of a test have run.
struct count_of_starts {
  explicit count_of_starts(fs::path where) : file(std::move(where)) {}
  [[nodiscard]] std::string note() const { return "echo x >> " + file.string() + "; "; }
  [[nodiscard]] std::size_t now() const {
    std::ifstream in{file};
    std::size_t lines = 0;
    for (std::string line; std::getline(in, line);) {
      ++lines;
    }
    return lines;
  }
  const fs::path file;
};

std::string etl(const count_of_starts& starts, const std::string& cache = "true") {
  return "{name: etl, workspace: task, params: {day: {type: string, default: mon}}, tasks: ["
         "{name: fetch, cache: " +
         cache + ", outputs: [rows], artifacts: {data: data.txt}, run: '" + starts.note() +
         "echo \"$MILLRACE_PARAM_DAY\" > data.txt; echo rows=3 >> $MILLRACE_OUTPUT'}, "
         "{name: use, needs: [{task: fetch, artifacts: true}], stdout: said, env: {N: \"${{ "
         "tasks.fetch.outputs.rows }}\"}, run: 'cat data.txt; echo $N'}]}";
}

std::string said_in(node& here, const std::string& run) {
  return here.task(run, "use").task().getOutputs()[0].getValue().cStr();
}

std::string again(node& here, const std::string& text, bool no_cache = false,
                  const std::string& params = "{}") {
  const auto pipeline = here.apply(text);
  schemas::pipeline_interface::submit_params submission;
  submission.build().setParams(params.c_str());
  submission.build().setNoCache(no_cache);
  const auto answer = here.silo->call(pipeline.submit(std::move(submission)));
  REQUIRE(answer);
  CHECK(here.wait(std::string{answer->run()}) == RunState::SUCCEEDED);
  return std::string{answer->run()};
}

TEST_CASE("a result is used again, with its outputs and files, also when its run is gone") {
  temporary_folder data;
  const count_of_starts starts{data.path / "starts"};
  std::string first;
  std::string second;
  {
    node here{data.path};
    first = again(here, etl(starts));
    CHECK(starts.now() == 1);
    second = again(here, etl(starts));
    CHECK(starts.now() == 1);
    CHECK(said_in(here, first) == "mon\n3");
    CHECK(said_in(here, second) == "mon\n3");
    const auto told = here.task(second, "fetch");
    const auto row = told.task();
    CHECK(row.getState() == TaskState::SUCCEEDED);
    CHECK(row.getCachedFrom() == first.c_str());
    CHECK(row.getReason() == ("result of run " + first).c_str());
    CHECK(row.getExitCode() == 0);
    CHECK(row.getArtifacts()[0].getTask() == "fetch");
    const auto task = attempts_of(*here.silo, second, "fetch");
    REQUIRE(task.attempts().size() == 1);
    CHECK(task.attempts()[0].getEnd() == AttemptEnd::CACHED);
    CHECK(task.cached_from() == first.c_str());
    CHECK(attempts_of(*here.silo, first, "fetch").cache_miss() == "no result of it is kept");
    const auto status = here.silo->call(ref<schemas::Run>(second).status());
    REQUIRE(status);
    CHECK(status->run().getTasks().getSucceeded() == 2);
    CHECK(status->run().getTasks().getCached() == 1);
  }
  node here{data.path};
  // Its files were kept for the second run too.
  REQUIRE(here.silo->call(ref<schemas::Run>(first).remove()));
  node::eventually([&] { return !fs::exists(data.path / "artifacts/runs" / first); });
  const auto third = again(here, etl(starts));
  CHECK(starts.now() == 1);
  CHECK(said_in(here, third) == "mon\n3");
  CHECK(here.task(third, "fetch").task().getCachedFrom() == first.c_str());
}

TEST_CASE("what has changed is done again, and says what that was") {
  temporary_folder data;
  const count_of_starts starts{data.path / "starts"};
  node here{data.path};
  const auto first = again(here, etl(starts));
  const auto second = again(here, etl(starts), false, R"({"day": "tue"})");
  CHECK(starts.now() == 2);
  CHECK(said_in(here, second) == "tue\n3");
  CHECK(attempts_of(*here.silo, second, "fetch").cache_miss() ==
        ("changed since run " + first + ": env MILLRACE_PARAM_DAY").c_str());
  // One that uses no kept result keeps its own.
  const auto third = again(here, etl(starts), true);
  CHECK(starts.now() == 3);
  CHECK(attempts_of(*here.silo, third, "fetch").cache_miss() == "");
  const auto fourth = again(here, etl(starts));
  CHECK(starts.now() == 3);
  CHECK(here.task(fourth, "fetch").task().getCachedFrom() == third.c_str());
}

TEST_CASE("a result that is older than a task allows is made again") {
  temporary_folder data;
  const count_of_starts starts{data.path / "starts"};
  node here{data.path};
  const auto first = again(here, etl(starts));
  CHECK(attempts_of(*here.silo, again(here, etl(starts, "{ttl: 1ms}")), "fetch").cache_miss() ==
        ("the result of run " + first + " has expired").c_str());
  CHECK(starts.now() == 2);
  again(here, etl(starts, "{ttl: 1h}"));
  CHECK(starts.now() == 2);
}

TEST_CASE("a result whose files are gone is made again") {
  temporary_folder data;
  const count_of_starts starts{data.path / "starts"};
  node here{data.path};
  const auto first = again(here, etl(starts));
  REQUIRE(here.silo->call(ref<schemas::Run>(first).remove()));
  node::eventually([&] { return !fs::exists(data.path / "artifacts/runs" / first); });
  const auto second = again(here, etl(starts));
  CHECK(starts.now() == 2);
  CHECK(said_in(here, second) == "mon\n3");
  CHECK(attempts_of(*here.silo, second, "fetch").cache_miss() ==
        ("artifact \"data\" of run " + first + " is not kept any more").c_str());
  again(here, etl(starts));
  CHECK(starts.now() == 2);
}

TEST_CASE("what failed, and what a retry does again, is never taken from a kept result") {
  temporary_folder data;
  const count_of_starts starts{data.path / "starts"};
  node here{data.path};
  const auto fails = "{name: fails, workspace: task, tasks: [{name: a, cache: true, run: '" +
                     starts.note() + "test -e " + (data.path / "ok").string() + "'}]}";
  const auto run = here.submit(fails);
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(here.wait(here.submit(fails)) == RunState::FAILED);
  CHECK(starts.now() == 2);
  std::ofstream{data.path / "ok"} << "ok";
  again(here, fails);
  CHECK(starts.now() == 3);
  again(here, fails);
  CHECK(starts.now() == 3);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry()));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(starts.now() == 4);
}

TEST_CASE("results of a fan-out are kept by what each instance gets") {
  temporary_folder data;
  const count_of_starts starts{data.path / "starts"};
  node here{data.path};
  const auto fan = [&](const std::string& items) {
    return "{name: fan, workspace: task, tasks: [{name: each, for_each: " + items +
           ", cache: {key: \"${{ item }}\"}, run: '" + starts.note() + "true'}]}";
  };
  again(here, fan("[a, b]"));
  CHECK(starts.now() == 2);
  const auto run = again(here, fan("[b, c, a]"));
  CHECK(starts.now() == 3);
  CHECK(here.task(run, "each[0]").task().getCachedFrom().size() > 0);
  CHECK(here.task(run, "each[1]").task().getCachedFrom().size() == 0);
}

TEST_CASE("instances of a fan-out do not share a result that has one key") {
  temporary_folder data;
  node here{data.path};
  const std::string text =
      "{name: fan, workspace: task, tasks: [{name: each, for_each: [a, b], cache: {key: same}, "
      "stdout: said, command: [echo, \"${{ item }}\"]}]}";
  again(here, text);
  const auto run = again(here, text);
  for (const auto* each : {"a", "b"}) {
    const auto told = here.task(run, "each[" + std::to_string(each[0] - 'a') + "]");
    CHECK(told.task().getCachedFrom().size() > 0);
    CHECK(told.task().getOutputs()[0].getValue() == each);
  }
}

TEST_CASE("a key that comes out empty errs") {
  temporary_folder data;
  node here{data.path};
  const auto empty = here.submit(
      "{name: empty, workspace: task, params: {k: {type: string, default: \"\"}}, tasks: [{name: "
      "a, "
      "run: 'true', cache: {key: \"${{ params.k }}\"}}]}");
  CHECK(here.wait(empty) == RunState::FAILED);
  const auto told = here.task(empty, "a");
  CHECK(told.task().getState() == TaskState::ERRORED);
  CHECK(told.task().getReason() == "cache: the key from `${{ params.k }}` is empty");
}

TEST_CASE("a run of a run uses no kept result either, and a pipeline that is gone has none") {
  temporary_folder data;
  const count_of_starts starts{data.path / "starts"};
  node here{data.path};
  again(here, etl(starts));
  const std::string parent = "{name: parent, tasks: [{name: sub, pipeline: etl}]}";
  again(here, parent);
  CHECK(starts.now() == 1);
  again(here, parent, true);
  CHECK(starts.now() == 2);
  REQUIRE(here.silo->call(ref<schemas::Pipeline>("default/etl").remove(0)));
  node::eventually([&] {
    const auto list = here.silo->call(ref<schemas::ResultCache>("default/etl").list("", 10));
    return list && list->results().size() == 0;
  });
}

TEST_CASE("a task that is cancelled while it looks for a result ends, and its run goes") {
  temporary_folder data;
  const count_of_starts starts{data.path / "starts"};
  node here{data.path};
  const auto first = again(here, etl(starts));
  for (auto times = 0; times < 10; ++times) {
    const auto run = here.submit(etl(starts));
    REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("", true)));
    here.wait(run);
    const auto told = here.silo->call(ref<schemas::Task>(run + "/fetch").describe());
    if (told && told->attempts().size() > 0) {
      CHECK(told->attempts()[0].getEnd() != AttemptEnd::QUEUED);
    }
    REQUIRE(here.silo->call(ref<schemas::Run>(run).remove()));
    node::eventually([&] {
      const auto task = here.silo->call(ref<schemas::Task>(run + "/fetch").describe());
      return !task && task.error().code() == runtime::errc::not_found;
    });
  }
  CHECK(starts.now() == 1);
}

}  // namespace
}  // namespace millrace::actors
