// SPDX-License-Identifier: MIT
// Tasks that wait for the word of a foreign system.
#include "millrace/actors/callback.h"

#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "fixture.h"
#include "pipeline/names.h"

namespace millrace::actors {

using runtime::errc;
using runtime::ref;
using schemas::RunState;
using schemas::TaskState;

namespace {

using namespace std::chrono_literals;

std::string content_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

// Its first task passes the path on, to a file.
std::string passing_on(const std::filesystem::path& file, const std::string& more = {}) {
  return R"yaml(name: p
tasks:
  - name: start
    env: {URL: "https://host${{ tasks.wait.callback }}"}
    run: printf %s "$URL" > )yaml" +
         file.string() + R"yaml(
  - {name: wait, needs: [start], callback: {prompt: "the deploy of ${{ run.pipeline }}"})yaml" +
         more + R"yaml(}
  - {name: then, needs: [wait], run: 'echo "got $X"', env: {X: "${{ tasks.wait.outputs.where }}"}}
)yaml";
}

// What the task `start` has passed on.
std::string token_in(const std::filesystem::path& file) {
  const auto text = content_of(file);
  const auto at = text.find(callback_path);
  REQUIRE(at != std::string::npos);
  CHECK(text.substr(0, at) == "https://host");
  return text.substr(at + callback_path.size());
}

std::optional<errc> tell(node& here, const std::string& token, TaskState state,
                         const std::string& where = "x") {
  const auto place = callback_place_of(token);
  REQUIRE(place);
  schemas::run_interface::callback_params params;
  params.build().setToken(token.c_str());
  auto made = params.build().initAnswer();
  made.setState(state);
  made.setReason("as told");
  auto outputs = made.initOutputs(1);
  outputs[0].setName("where");
  outputs[0].setValue(where.c_str());
  const auto told = here.silo->call(ref<schemas::Run>(place->run).callback(std::move(params)));
  return told ? std::nullopt : std::optional{told.error().code()};
}

schemas::run_interface::task_results task_of(node& here, const std::string& run,
                                             const std::string& task) {
  auto told = here.silo->call(ref<schemas::Run>(run).task(task));
  REQUIRE(told);
  return *std::move(told);
}

}  // namespace

TEST_CASE("a foreign system's word ends a task, and its outputs go on; also after a restart") {
  temporary_folder data;
  const auto file = data.path / "url";
  std::string run;
  {
    node here{data.path};
    run = here.submit(passing_on(file));
    here.wait_until_running(run, "wait");
    CHECK(text_of(task_of(here, run, "wait").task().getReason()) ==
          "waits for callback: the deploy of p");
  }
  node here{data.path};
  const auto token = token_in(file);
  CHECK(token.substr(0, run.size() + 6) == run + ".wait.");
  CHECK(tell(here, token, TaskState::SUCCEEDED, "there") == std::nullopt);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  const auto told = task_of(here, run, "wait");
  CHECK(text_of(told.task().getReason()) == "as told");
  REQUIRE(told.task().getOutputs().size() == 1);
  CHECK(told.task().getOutputs()[0].getValue() == "there");
}

TEST_CASE("the word is taken once: the same again has no effect, another is refused") {
  temporary_folder data;
  const auto file = data.path / "url";
  node here{data.path};
  const auto run = here.submit(passing_on(file));
  here.wait_until_running(run, "wait");
  const auto token = token_in(file);
  CHECK(tell(here, token, TaskState::FAILED) == std::nullopt);
  CHECK(tell(here, token, TaskState::FAILED) == std::nullopt);
  CHECK(tell(here, token, TaskState::FAILED, "elsewhere") == errc::failed_precondition);
  CHECK(tell(here, token, TaskState::SUCCEEDED) == errc::failed_precondition);
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(tell(here, token, TaskState::FAILED) == std::nullopt);
  CHECK(task_of(here, run, "then").task().getState() == TaskState::UPSTREAM_FAILED);
}

TEST_CASE("a token that is not the task's is that of nothing") {
  temporary_folder data;
  const auto file = data.path / "url";
  node here{data.path};
  const auto run = here.submit(passing_on(file));
  here.wait_until_running(run, "wait");
  const auto token = token_in(file);
  auto other = token;
  other.back() = other.back() == '0' ? '1' : '0';
  CHECK(tell(here, other, TaskState::FAILED) == errc::not_found);
  CHECK(tell(here, make_callback_token({run, "wait"}, ""), TaskState::FAILED) == errc::not_found);
  CHECK(tell(here, make_callback_token({run, "start"}, ""), TaskState::FAILED) == errc::not_found);
  CHECK(tell(here, make_callback_token({run, "none"}, ""), TaskState::FAILED) == errc::not_found);
  const auto nobody = "01900000-0000-7000-8000-000000000000";
  CHECK(tell(here, make_callback_token({nobody, "wait"}, ""), TaskState::FAILED) ==
        errc::not_found);
  CHECK(tell(here, token, TaskState::SUCCEEDED) == std::nullopt);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
}

TEST_CASE("a word that comes before its task has started ends it when it does") {
  temporary_folder data;
  const auto file = data.path / "url";
  const auto gate = data.path / "gate";
  const auto text = R"yaml(name: p
tasks:
  - name: start
    env: {URL: "https://host${{ tasks.wait.callback }}"}
    run: printf %s "$URL" > )yaml" +
                    file.string() + R"yaml(; echo passed on; while ! test -e )yaml" +
                    gate.string() + R"yaml(; do sleep 0.01; done
  - {name: wait, needs: [start], callback: {}}
)yaml";
  std::string run;
  {
    node here{data.path};
    run = here.submit(text);
    here.wait_until_running(run, "start");
    node::eventually([&] { return content_of(file).size() > 60; });
    CHECK(tell(here, token_in(file), TaskState::SUCCEEDED, "early") == std::nullopt);
    CHECK(tell(here, token_in(file), TaskState::FAILED) == errc::failed_precondition);
  }
  node here{data.path};
  std::ofstream{gate} << "open";
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(task_of(here, run, "wait").task().getOutputs()[0].getValue() == "early");
}

// Goal: what was said of a task that could not start still counts when it does.
// Method: the task before it fails once the word is there, and not when it is started again.
TEST_CASE("a word that came early is kept over a retry until its task takes it") {
  temporary_folder data;
  const auto file = data.path / "url";
  const auto gate = data.path / "gate";
  const auto good = data.path / "good";
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
tasks:
  - name: start
    env: {URL: "https://host${{ tasks.wait.callback }}"}
    run: printf %s "$URL" > )yaml" +
                               file.string() + R"yaml(
  - name: before
    needs: [start]
    run: while ! test -e )yaml" +
                               gate.string() + R"yaml(; do sleep 0.01; done; test -e )yaml" +
                               good.string() + R"yaml(
  - {name: wait, needs: [before], callback: {}}
)yaml");
  here.wait_until_running(run, "before");
  CHECK(tell(here, token_in(file), TaskState::SUCCEEDED, "early") == std::nullopt);
  std::ofstream{gate} << "open";
  CHECK(here.wait(run) == RunState::FAILED);
  CHECK(task_of(here, run, "wait").task().getState() == TaskState::UPSTREAM_FAILED);
  std::ofstream{good} << "good";
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry()));
  CHECK(here.wait(run) == RunState::SUCCEEDED);
  CHECK(task_of(here, run, "wait").task().getOutputs()[0].getValue() == "early");
}

TEST_CASE("a task that nobody calls times out, and takes no word any more") {
  temporary_folder data;
  const auto file = data.path / "url";
  node here{data.path};
  const auto run = here.submit(passing_on(file, ", timeout: 300ms"));
  CHECK(here.wait(run) == RunState::FAILED);
  const auto told = task_of(here, run, "wait");
  CHECK(told.task().getState() == TaskState::TIMED_OUT);
  CHECK(text_of(told.task().getReason()) == "no word came within 300ms");
  CHECK(tell(here, token_in(file), TaskState::SUCCEEDED) == errc::failed_precondition);
}

TEST_CASE("a cancelled run waits for no word, and a retry waits for a new one") {
  temporary_folder data;
  const auto file = data.path / "url";
  node here{data.path};
  const auto run = here.submit(passing_on(file));
  here.wait_until_running(run, "wait");
  REQUIRE(here.silo->call(ref<schemas::Run>(run).cancel("no more", false)));
  CHECK(here.wait(run) == RunState::CANCELLED);
  const auto token = token_in(file);
  CHECK(tell(here, token, TaskState::SUCCEEDED) == errc::failed_precondition);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry()));
  node::eventually(
      [&] { return task_of(here, run, "wait").task().getState() == TaskState::RUNNING; });
  CHECK(tell(here, token, TaskState::FAILED) == std::nullopt);
  CHECK(here.wait(run) == RunState::FAILED);
  REQUIRE(here.silo->call(ref<schemas::Run>(run).retry()));
  node::eventually(
      [&] { return task_of(here, run, "wait").task().getState() == TaskState::RUNNING; });
  CHECK(tell(here, token, TaskState::SUCCEEDED) == std::nullopt);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
}

TEST_CASE("the token is masked in what its task writes, and shown in no state") {
  temporary_folder data;
  const auto file = data.path / "url";
  node here{data.path};
  const auto run = here.submit(R"yaml(name: p
tasks:
  - name: start
    env: {URL: "https://host${{ tasks.wait.callback }}"}
    inputs: {url: "${{ tasks.wait.callback }}"}
    run: |
      printf %s "$URL" > )yaml" +
                               file.string() + R"yaml(
      echo "$URL"; cat "$MILLRACE_INPUTS"; echo "url=$URL" >> "$MILLRACE_OUTPUT"
    outputs: [url]
  - {name: wait, needs: [start], callback: {}}
)yaml");
  here.wait_until_running(run, "wait");
  const auto token = token_in(file);
  const auto told = here.silo->call(ref<schemas::Task>(run + "/start").describe());
  REQUIRE(told);
  const auto attempt = told->attempts()[0];
  CHECK(text_of(attempt.getStdoutTail()).find(token) == std::string::npos);
  CHECK(text_of(attempt.getStdoutTail()).find("https://host/api/v1/callbacks/***") == 0);
  CHECK(task_of(here, run, "start").task().getOutputs()[0].getValue() ==
        "https://host/api/v1/callbacks/***");
  CHECK(tell(here, token, TaskState::SUCCEEDED) == std::nullopt);
  CHECK(here.wait(run) == RunState::SUCCEEDED);
}

TEST_CASE("a token names a run and a task") {
  const std::string run = "01900000-0000-7000-8000-000000000000";
  const auto token = make_callback_token({run, "a.b-c"}, "key");
  CHECK(token.size() == run.size() + 1 + 5 + 1 + 32);
  const auto place = callback_place_of(token);
  REQUIRE(place);
  CHECK(place->run == run);
  CHECK(place->task == "a.b-c");
  CHECK(token != make_callback_token({run, "a.b-c"}, "yek"));
  CHECK(is_same_token(token, token));
  CHECK_FALSE(is_same_token(token, ""));
  CHECK_FALSE(is_same_token("", token));
  for (const auto* other :
       {"", "x", "01900000-0000-7000-8000-000000000000", "01900000-0000-7000-8000-000000000000.a.",
        "01900000-0000-7000-8000-00000000000/.a.0123456789abcdef0123456789abcdef",
        "01900000-0000-7000-8000-000000000000..0123456789abcdef0123456789abcdef",
        "01900000-0000-7000-8000-000000000000.A.0123456789abcdef0123456789abcde"}) {
    CHECK_FALSE(callback_place_of(other));
  }
  CHECK(make_callback_key() != make_callback_key());
  CHECK(make_callback_key().size() == 32);
}

}  // namespace millrace::actors
