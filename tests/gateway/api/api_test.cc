// SPDX-License-Identifier: MIT
// The HTTP API over a real server, silo and processes.
#include "api/api.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "api/run_event.h"
#include "gateway/api/served_node.h"
#include "millrace/runtime/message.h"

namespace millrace::gateway {
namespace {

using http::method;
using nlohmann::json;

std::vector<std::string> keys_of(const nlohmann::ordered_json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    keys.push_back(key);
  }
  return keys;
}

TEST_CASE("a pipeline is applied in versions, with ETags against lost updates") {
  served_node here;
  const std::string target = "/api/v1/projects/p/pipelines/hello";
  const auto answer = here.send(method::put, target, hello);
  CHECK(answer.status == 201);
  CHECK_FALSE(answer.headers.find("ETag"));  // what is stored is not what was sent
  CHECK(answer.body == R"({"id":"hello","project":"p","version":1,"changed":true})");
  CHECK(here.send(method::get, target).headers.find("ETag") == "\"1\"");
  CHECK(here.ask(method::put, target, 200, hello)["changed"] == false);
  const auto changed = std::string{hello} + "description: new\n";
  const auto stale = here.ask(method::put, target, 412, changed, {{"If-Match", "\"7\""}});
  CHECK(stale["code"] == "conflict");
  CHECK(stale["title"] == "Precondition Failed");
  CHECK(stale["detail"] ==
        "the latest version of pipeline 'hello' is 1, not 7; get it, merge and apply again with "
        "that version");
  CHECK(here.ask(method::put, target, 200, changed, {{"If-Match", "\"1\""}})["version"] == 2);
  CHECK(here.ask(method::put, target, 400, changed, {{"If-Match", "x"}})["code"] ==
        "invalid_argument");
  CHECK(here.ask(method::get, target, 200)["definition"]["description"] == "new");
  CHECK(here.ask(method::get, target + "?version=1", 200)["version"] == 1);
  CHECK(here.ask(method::get, target + "?version=9", 404)["code"] == "not_found");
  const std::string unknown = "/api/v1/projects/p/pipelines/unknown";
  CHECK(here.ask(method::get, unknown, 404)["code"] == "not_found");
  CHECK(here.ask(method::get, unknown + "/runs", 404)["code"] == "not_found");
  CHECK(here.ask(method::post, "/api/v1/actors/pipeline/hello/apply", 400,
                 json{{"definition", R"({"name":"hello","tasks":[{"name":"a","run":"x"}]})"}}
                     .dump())["detail"]
            .get<std::string>()
            .starts_with("the key of a pipeline is PROJECT/NAME, not 'hello'"));
  CHECK(here.ask(method::get, "/api/v1/projects/p/pipelines", 200)["pipelines"].size() <= 1);
  CHECK(here.ask(method::put, "/api/v1/projects/p/pipelines/other", 400, hello)["detail"] ==
        "the definition is called 'hello', the URL says 'other'");
}

TEST_CASE("a definition is taken only if the pipeline is as the request says") {
  served_node here;
  const std::string target = "/api/v1/projects/p/pipelines/hello";
  const auto applied = [&](const char* field, const char* value, int status) {
    return here.ask(method::put, target, status, hello, {{field, value}});
  };
  for (const auto* missing : {"\"1\"", "*"}) {
    CHECK(applied("If-Match", missing, 412)["detail"] ==
          "there is no pipeline 'hello' in project 'p'; apply without a condition to make it");
  }
  CHECK(here.ask(method::get, target, 404)["code"] == "not_found");
  CHECK(applied("If-None-Match", "*", 201)["version"] == 1);
  CHECK(
      applied("If-None-Match", "*", 412)["detail"] ==
      "pipeline 'hello' exists, its latest version is 1; to change it, apply with that version as "
      "the condition, or without one");
  CHECK(applied("If-Match", "*", 200)["changed"] == false);
  CHECK(applied("if-match", "1", 200)["changed"] == false);
  for (const auto* never : {"W/\"1\"", "\"one\"", "\"0\"", "\"\""}) {
    CHECK(applied("If-Match", never, 412)["code"] == "conflict");
  }
  for (const auto* wrong : {"", "one", "\"1", "\"1\" \"2\"", "\"1\",\"2\"", "*, \"1\""}) {
    CAPTURE(wrong);
    CHECK(applied("If-Match", wrong, 400)["code"] == "invalid_argument");
  }
  CHECK(applied("If-None-Match", "\"1\"", 400)["code"] == "invalid_argument");
  CHECK(applied("Content-Range", "bytes 0-9/20", 400)["code"] == "invalid_argument");
}

// Goal: the condition is decided with the write, not before it.
TEST_CASE("of clients that make one pipeline at a time exactly one makes it") {
  served_node here;
  std::atomic<int> made = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> clients;
  for (int each = 0; each < 4; ++each) {
    clients.emplace_back([&, each] {
      auto client = here.another_client();
      const auto text = std::string{hello} + "description: of " + std::to_string(each) + "\n";
      const auto answer = client.send(method::put, "/api/v1/projects/p/pipelines/hello", text,
                                      {{"If-None-Match", "*"}});
      made += answer && answer->status == 201 ? 1 : 0;
      refused += answer && answer->status == 412 ? 1 : 0;
    });
  }
  for (auto& each : clients) {
    each.join();
  }
  CHECK(made == 1);
  CHECK(refused == 3);
}

TEST_CASE("what a client has already is not sent again") {
  served_node here;
  const std::string target = "/api/v1/projects/p/pipelines/hello";
  here.ask(method::put, target, 201, hello);
  for (const auto* known : {"\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"}) {
    const auto same = here.send(method::get, target, "", {{"If-None-Match", known}});
    CHECK(same.status == 304);
    CHECK(same.body.empty());
    CHECK(same.headers.find("ETag") == "\"1\"");
  }
  CHECK(here.send(method::get, target, "", {{"If-None-Match", "\"7\""}}).status == 200);
  CHECK(here.send(method::get, target, "", {{"If-None-Match", "7\""}}).status == 400);
  // It also tells the latest version, which its tag would not.
  here.ask(method::put, target, 200, std::string{hello} + "description: two\n");
  const auto older =
      here.send(method::get, target + "?version=1", "", {{"If-None-Match", "\"1\""}});
  CHECK(older.status == 200);
  CHECK_FALSE(older.headers.find("ETag"));
}

TEST_CASE("a server has the schema of definitions") {
  served_node here;
  const auto schema = here.ask(method::get, "/schemas/pipeline.json", 200);
  CHECK(schema["$defs"].contains("pipeline"));
}

TEST_CASE("lists tell more of each row where that is asked for") {
  served_node here;
  const std::string pipelines = "/api/v1/projects/p/pipelines";
  const std::string gated = "name: gated\ntasks: [{name: gate, approval: 'Really?'}]\n";
  here.ask(method::put, pipelines + "/gated", 201, gated);
  here.ask(method::post, pipelines + "/gated/pause", 202);
  const std::string run =
      here.ask(method::post, pipelines + "/gated/runs", 201, R"({"params":{}})")["id"];
  json listed;
  until([&] {  // its name is on its way
    listed = here.ask(method::get, pipelines + "?details=true", 200)["pipelines"];
    return listed.size() == 1;
  });
  CHECK(listed[0]["details"]["version"] == 1);
  CHECK(listed[0]["details"]["paused"] == true);
  CHECK(listed[0]["details"]["latest_run"]["id"] == run);
  CHECK(listed[0]["details"]["latest_run"]["state"] == "queued");
  CHECK_FALSE(here.ask(method::get, pipelines, 200)["pipelines"][0].contains("details"));
  for (int more = 0; more < 9; ++more) {  // more than are asked at a time
    const auto name = "more" + std::to_string(more);
    here.ask(method::put, "/api/v1/projects/many/pipelines/" + name, 201,
             "name: " + name + "\ntasks: [{name: t, run: 'true'}]\n");
  }
  json many;
  until([&] {
    many = here.ask(method::get, "/api/v1/projects/many/pipelines?details=true", 200)["pipelines"];
    return many.size() == 9;
  });
  for (const auto& each : many) {
    CHECK(each["details"] == json{{"version", 1}, {"paused", false}, {"latest_run", nullptr}});
  }
  CHECK(here.ask(method::get, "/api/v1/projects/none/pipelines?details=true", 200)["pipelines"]
            .empty());
  for (const std::string& list :
       {pipelines + "/gated/runs?", std::string{"/api/v1/runs?project=p&"}}) {
    const auto shown = here.ask(method::get, list + "details=true&limit=500", 200)["runs"];
    REQUIRE(shown.size() == 1);
    CHECK(shown[0]["state"] == "queued");
    CHECK(shown[0]["details"] == here.ask(method::get, "/api/v1/runs/" + run, 200));
    CHECK_FALSE(here.ask(method::get, list + "details=false", 200)["runs"][0].contains("details"));
    CHECK(here.ask(method::get, list + "details=yes", 400)["code"] == "invalid_argument");
    CHECK(here.ask(method::get, list + "state=running", 200)["runs"].empty());
  }
}

TEST_CASE("every mistake of a definition is in the problem document") {
  served_node here;
  const std::string wrong = "name: hello\ntaks: 1\ntasks: [{name: a}]\n";
  const auto problem =
      here.ask(method::put, "/api/v1/projects/default/pipelines/hello", 422, wrong);
  REQUIRE(problem["errors"].size() == 2);
  CHECK(problem["errors"][0]["line"] == 2);
  CHECK(problem["errors"][0]["pointer"] == "/taks");
  const auto told = here.ask(method::post, "/api/v1/validate", 200, wrong);
  CHECK(told["valid"] == false);
  CHECK(told["errors"] == problem["errors"]);
  CHECK(here.ask(method::post, "/api/v1/validate", 200, hello)["valid"] == true);
}

TEST_CASE("an idempotency key submits once") {
  served_node here;
  here.ask(method::put, "/api/v1/projects/p/pipelines/hello", 201, hello);
  const std::string runs = "/api/v1/projects/p/pipelines/hello/runs";
  const http::header_list keyed{{"Idempotency-Key", "k"}};
  const auto first = here.ask(method::post, runs, 201, R"({"params":{"who":"a"}})", keyed);
  CHECK(here.ask(method::get, "/api/v1/runs/" + first["id"].get<std::string>(),
                 200)["params"]["who"] == "a");
  CHECK(here.ask(method::post, runs, 201, R"({"params":{"who":"a"}})", keyed) == first);
  CHECK(here.ask(method::post, runs, 422, R"({"params":{"who":"b"}})", keyed)["code"] ==
        "conflict");
  CHECK(here.ask(method::post, runs, 400, R"({"params":{"nope":1}})")["detail"] ==
        "the pipeline has no parameter `nope`");
  CHECK(here.ask(method::post, runs, 400, "[]")["detail"] ==
        R"(the body must be a JSON object such as {"params": {"day": "monday"}})");
  CHECK(here.ask(method::post, runs, 400, "{params: 1}")["detail"].get<std::string>().starts_with(
      "not JSON: 1:2: 'p' does not belong here; "));
  const http::header_list long_key{{"Idempotency-Key", std::string(201, 'k')}};
  for (const auto* target : {"/api/v1/validate", "/api/v1/partitions/1/break-glass",
                             "/api/v1/tokens", "/api/v1/dead-letters/t/k/1/retry"}) {
    CAPTURE(target);
    CHECK(here.ask(method::post, target, 400, "{}", long_key)["detail"] ==
          "an idempotency key is at most 200 bytes");
  }
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK(here.ask(method::post, runs, 400, R"({"params":{"who":)" + deep + "}}")["detail"] ==
        "/params: nested deeper than 64");
  CHECK(here.ask(method::get, runs, 200)["runs"].size() == 1);
  CHECK(here.ask(method::get, runs + "?state=cancelled", 200)["runs"].empty());
  CHECK(here.ask(method::get, runs + "?state=x", 400)["code"] == "invalid_argument");
  CHECK(here.ask(method::get, "/api/v1/runs?project=p&state=%ff", 400)["code"] ==
        "invalid_argument");
  CHECK(here.ask(method::post, "/api/v1/projects/p/pipelines/nope/runs", 404)["code"] ==
        "not_found");
}

TEST_CASE("the runs of a project are listed across its pipelines, the newest first") {
  served_node here;
  std::vector<std::string> made;
  for (const auto* name : {"a", "b", "a", "b", "b"}) {
    const auto pipeline = std::string{"/api/v1/projects/p/pipelines/"} + name;
    const auto text = std::string{"name: "} + name + "\ntasks: [{name: t, run: sleep 600}]\n";
    CHECK(here.send(method::put, pipeline, text).status < 300);
    made.push_back(here.ask(method::post, pipeline + "/runs", 201)["id"]);
  }
  // A pipeline's name is on its way to the project.
  until([&] {
    return here.ask(method::get, "/api/v1/projects/p/pipelines", 200)["pipelines"].size() == 2;
  });
  std::sort(made.rbegin(), made.rend());
  std::vector<std::string> listed;
  std::string before;
  do {
    const auto page =
        here.ask(method::get, "/api/v1/runs?project=p&state=running&limit=2&cursor=" + before, 200);
    CHECK(page["runs"].size() <= 2);
    for (const auto& each : page["runs"]) {
      listed.push_back(each["id"]);
      CHECK((each["pipeline"] == "a" || each["pipeline"] == "b"));
    }
    before = page["next_cursor"];
  } while (!before.empty());
  CHECK(listed == made);
  CHECK(here.ask(method::get, "/api/v1/runs?project=p&state=failed", 200)["runs"].empty());
  CHECK(here.ask(method::get, "/api/v1/runs?project=p&state=x", 400)["code"] == "invalid_argument");
  CHECK(here.ask(method::get, "/api/v1/runs?project=nobody", 200)["next_cursor"] == "");
  CHECK(here.ask(method::get, "/api/v1/runs?limit=x", 400)["code"] == "invalid_argument");
}

TEST_CASE("a query that means nothing is refused, and what it may have is named") {
  served_node here;
  const auto refused = [&](const char* target) {
    return here.ask(method::get, target, 400)["detail"].get<std::string>();
  };
  CHECK(refused("/api/v1/runs?stat=failed") ==
        "unknown query parameter 'stat'; known are: project, state, label, cursor, limit, details; "
        "did you mean 'state'?");
  CHECK(refused("/api/v1/runs?limit=1&limit=2") == "query parameter 'limit' is given twice");
  CHECK(refused("/api/v1/actors?x") == "unknown query parameter 'x'; none is known here");
  CHECK(refused("/api/v1/runs/r/tasks/t/logs?Tail=3").ends_with("; did you mean 'tail'?"));
  // Also where there is no run yet.
  for (const auto* target :
       {"/api/v1/runs?state=faild", "/api/v1/projects/p/pipelines/hello/runs?state=faild"}) {
    CHECK(
        refused(target) ==
        "query parameter 'state': expected one of: running, queued, succeeded, failed, cancelled, "
        "timed_out; it is 'faild'");
  }
  CHECK(here.send(method::get, "/livez?verbose").status == 200);
  CHECK(here.send(method::get, "/metrics?name=x").status == 200);
}

TEST_CASE("a run is told by its events, tasks and logs") {
  served_node here;
  const auto run = "/api/v1/runs/" + here.finished_run();
  CHECK(here.ask(method::get, run, 200)["state"] == "succeeded");
  CHECK(here.ask(method::get, run + "/tasks", 200)["tasks"][0]["id"] == "say");
  CHECK(here.ask(method::get, run + "/tasks?label=stage", 200)["tasks"].empty());
  CHECK(here.ask(method::get, run + "/tasks?label=,", 400)["detail"].get<std::string>().starts_with(
      "query parameter 'label': "));
  CHECK(here.ask(method::get, run + "/tasks/say", 200)["attempts"][0]["exit_code"] == 0);
  CHECK(here.send(method::get, run + "/tasks/say/logs").body == "hello world\n");
  CHECK(here.send(method::get, run + "/tasks/say/logs?follow=true").body == "hello world\n");
  CHECK(here.send(method::get, run + "/tasks/say/logs?stream=stderr").body.empty());
  CHECK(here.send(method::get, run + "/tasks/say/logs?stream=x").status == 400);
  CHECK(here.send(method::get, run + "/tasks/say/logs?follow=yes").status == 400);
  CHECK(here.ask(method::get, run + "/tasks/say/logs?attempt=7", 404)["detail"] ==
        "its latest attempt is 1");
  CHECK(here.send(method::get, run + "/tasks/nope/logs").status == 404);
  CHECK(here.ask(method::post, run + "/cancel", 409, "{}")["code"] == "failed_precondition");
  CHECK(here.ask(method::post, run + "/retry", 400, R"({"task":"say"})")["detail"] ==
        "/task: unknown key; expected are: from, dry_run, version, latest");
  CHECK(here.ask(method::get, "/api/v1/runs/nope", 404)["code"] == "not_found");

  // A client that comes back gets what it has not seen.
  std::vector<std::string> ids;
  nlohmann::ordered_json latest;
  const auto stream = here.client->events(run + "/events", "2", [&](const auto& event) {
    ids.push_back(event.id);
    latest = event.name == "run" ? nlohmann::ordered_json::parse(event.data) : latest;
    return event.name == "end" ? http::flow::stop : http::flow::more;
  });
  REQUIRE(stream);
  CHECK(ids == std::vector<std::string>{"3", "4", "4"});
  CHECK(latest["run_state"] == "succeeded");
  CHECK(keys_of(latest) == std::vector<std::string>{"id", "at", "run_state"});  // no task's
  CHECK(here.ask(method::get, run + "/events", 400, "", {{"Last-Event-ID", "5"}})["detail"] ==
        "the latest event of the run is 4; there is none 5 to go on after");
  CHECK(here.send(method::get, run + "/events?after=18446744073709551615").status == 400);
  for (const auto* wrong : {"x", "2x", "-1", "18446744073709551616"}) {
    CHECK(here.ask(method::get, run + "/events", 400, "", {{"Last-Event-ID", wrong}})["detail"]
              .get<std::string>()
              .starts_with("Last-Event-ID must be the id of an event of this stream"));
  }
}

TEST_CASE("an event says nothing of what it is not about") {
  runtime::message<schemas::RunEvent> event;
  event.build().setSequence(7);
  event.build().setExitCode(-1);
  CHECK(event_json(event.read()) == R"({"id":7,"at":null,"run_state":"running"})");
  event.build().setName("a");
  CHECK(event_json(event.read()) ==
        R"({"id":7,"at":null,"run_state":"running","task":"a","state":"waiting"})");
  event.build().setAttempt(2);
  event.build().setExitCode(0);
  event.build().setLabel("x");
  event.build().setReason("why");
  CHECK(event_json(event.read()) ==
        R"({"id":7,"at":null,"run_state":"running","task":"a","state":"waiting",)"
        R"("attempt":2,"exit_code":0,"label":"x","reason":"why"})");
}

TEST_CASE("the end of a log arrives whole, however long its lines are") {
  served_node here;
  here.ask(method::put, "/api/v1/projects/p/pipelines/long", 201,
           "name: long\ntasks: [{name: a, run: 'echo first; head -c 5000000 /dev/zero | tr "
           "\\\\0 x'}]\n");
  const auto run = here.finished_run("long");
  const auto tail = here.send(method::get, "/api/v1/runs/" + run + "/tasks/a/logs?tail=1");
  CHECK(tail.status == 200);
  CHECK(tail.body == std::string(5'000'000, 'x'));
}

// A client so slow that every piece fills its queue, whose queue is empty again before the writer
// has gone on.
class drained_at_once final : public http::stream_sink,
                              public http::responder,
                              public std::enable_shared_from_this<drained_at_once> {
public:
  http::write_status write(std::string_view piece) override {
    {
      const std::lock_guard lock{mutex_};
      text_ += piece;
      changed_.notify_all();
    }
    drained_();
    return http::write_status::full;
  }
  void close() override {}
  void cut() override {}
  void on_closed(http::task) override {}
  void on_drained(std::function<void()> callback) override { drained_ = std::move(callback); }

  void complete(http::response) override {}
  std::shared_ptr<http::stream_sink> open(int, http::header_list, std::string_view) override {
    const std::lock_guard lock{mutex_};
    opened_ = true;
    changed_.notify_all();
    return shared_from_this();
  }

  // Whether the answer begins within a while.
  bool opens() {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{60}, [this] { return opened_; });
  }

  // Whether `text` is written within a while.
  bool gets(std::string_view text) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{60},
                             [&] { return text_.find(text) != std::string::npos; });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> drained_;
  std::string text_;
  bool opened_ = false;
};

TEST_CASE("a client whose queue drains while its events are written gets them all") {
  served_node here;
  here.ask(method::put, "/api/v1/projects/p/pipelines/long", 201,
           "name: long\ntasks: [{name: a, run: sleep 600, grace_period: 10ms}]\n");
  const std::string run =
      here.ask(method::post, "/api/v1/projects/p/pipelines/long/runs", 201)["id"];
  const auto lagging = std::make_shared<drained_at_once>();
  http::request asked;
  REQUIRE(asked.set_target("/api/v1/runs/" + run + "/events"));
  here.handle(asked, http::reply{lagging});
  REQUIRE(lagging->gets("\"state\":\"running\""));
  here.ask(method::post, "/api/v1/runs/" + run + "/cancel", 202, "{}");
  CHECK(lagging->gets("event: end\n"));
}

// Method: `first` reads a pipe that the test closes once it has seen what there is to see.
TEST_CASE("a task that has not started is told as waiting, and its log can be followed") {
  served_node here;
  const auto gate = here.folder() / "gate";
  REQUIRE(::mkfifo(gate.c_str(), 0600) == 0);
  here.ask(method::put, "/api/v1/projects/p/pipelines/gated", 201,
           "name: gated\ntasks:\n  - {name: first, run: cat " + gate.string() +
               "}\n  - {name: second, run: echo hello, needs: [first]}\n" +
               "  - {name: third, run: echo, needs: [second], run_on: failure}\n");
  const std::string run =
      "/api/v1/runs/" + here.ask(method::post, "/api/v1/projects/p/pipelines/gated/runs", 201)["id"]
                            .get<std::string>();
  const auto tasks = here.ask(method::get, run + "/tasks", 200)["tasks"];
  REQUIRE(tasks.size() == 3);
  CHECK(tasks[1]["id"] == "second");
  CHECK(tasks[1]["state"] == "waiting");
  const auto second = here.ask(method::get, run + "/tasks/second", 200);
  CHECK(second["state"] == "waiting");
  CHECK(second["attempts"].empty());
  CHECK(here.ask(method::get, run + "/tasks/second/logs", 409)["code"] == "failed_precondition");
  CHECK(here.ask(method::get, run + "/tasks/nope", 404)["code"] == "not_found");

  const auto follower = std::make_shared<drained_at_once>();
  http::request asked;
  REQUIRE(asked.set_target(run + "/tasks/second/logs?follow=true"));
  here.handle(asked, http::reply{follower});
  REQUIRE(follower->opens());
  std::ofstream{gate}.close();  // waits for the reader
  CHECK(follower->gets("hello\n"));
  const auto stream = here.client->events(run + "/events", "", [](const auto& event) {
    return event.name == "end" ? http::flow::stop : http::flow::more;
  });
  REQUIRE(stream);
  CHECK(here.ask(method::get, run + "/tasks/third", 200)["state"] == "skipped");
  CHECK(here.ask(method::get, run + "/tasks/third/logs", 404)["code"] == "not_found");
}

TEST_CASE("any actor answers by its schema") {
  served_node here;
  CHECK(here.ask(method::get, "/api/v1/actors", 200)["types"].size() == 6);
  CHECK(here.ask(method::post, "/api/v1/actors/pool/default/status", 200)["slots"] == 2);
  CHECK(here.ask(method::post, "/api/v1/actors/nope/x/y", 404)["code"] == "not_found");
  CHECK(here.ask(method::post, "/api/v1/actors/pool/x/nope", 404)["code"] == "not_found");
  CHECK(here.ask(method::post, "/api/v1/actors/run/x/events", 400, R"({"limit":"x"})")["detail"] ==
        "/limit: expected a whole number, found a string");
  CHECK(here.ask(method::post, "/api/v1/actors/run/x/events", 400, R"({"lmit":1})")["detail"] ==
        "/lmit: unknown key; expected are: after, wait_ms, limit");
}

// Goal: what actors tell each other cannot be told by a client, who could swallow a task with it.
TEST_CASE("methods that are for other actors are neither listed nor called") {
  served_node here;
  const auto types = here.ask(method::get, "/api/v1/actors", 200)["types"];
  for (const auto& each : types) {
    if (each["id"] == "pool") {
      CHECK(each["methods"] == json{"status"});
    }
    CHECK(each["id"] != "executor");  // it has no others
  }
  for (const auto* method :
       {"project/p/add", "pipeline/p%2Fa/run_ended", "run/r/begin", "run/r/task_changed",
        "task/r%2Fa/begin", "task/r%2Fa/granted", "task/r%2Fa/attempt_finished",
        "pool/default/join", "pool/default/enqueue", "pool/default/release", "executor/local/start",
        "executor/local/cancel"}) {
    CAPTURE(method);
    CHECK(here.ask(http::method::post, std::string{"/api/v1/actors/"} + method, 403,
                   "{}")["code"] == "permission_denied");
  }
  CHECK(here.ask(method::post, "/api/v1/actors/pool/default/nope", 404)["detail"] ==
        "actor type 'pool' has no method 'nope'; it has: status");
}

TEST_CASE("what a task is given for its environment is not shown to who looks at its actor") {
  served_node here;
  const auto run = here.finished_run();
  const auto state = here.send(method::get, "/api/v1/actors/task/" + run + "%2Fsay/state");
  CHECK(state.status == 200);
  CHECK(state.body.find("\"environment\":\"***\"") != std::string::npos);
  CHECK(state.body.find("MILLRACE_PARAM_WHO=") == std::string::npos);
}

TEST_CASE("the times in an actor's state are written as times") {
  served_node here;
  const auto run = here.finished_run();
  const auto shown = [&](const std::string& actor) {
    return here.ask(method::get, "/api/v1/actors/" + actor + "/state", 200)["state"]["finished_at"];
  };
  CHECK(shown("run/" + run).get<std::string>().ends_with("Z"));
  CHECK(shown("task/" + run + "%2Fsay").get<std::string>().ends_with("Z"));
}

TEST_CASE("what is for a cluster is refused where there is none, in words") {
  served_node here;
  const auto refused = [&](const char* target, int status, const std::string& body = {}) {
    return here.ask(method::post, target, status, body)["detail"].get<std::string>();
  };
  CHECK(refused("/api/v1/silos/silo/drain", 409) == "this server is in no cluster");
  CHECK(refused("/api/v1/silos/silo/drain", 400, R"({"until": 3})").find("until") !=
        std::string::npos);
  CHECK(refused("/api/v1/silos/silo/drain", 400, R"({"undo": true, "decommission": true})") ==
        "a drain is either undone or for good: leave out `undo` or `decommission`");
  CHECK(refused("/api/v1/partitions/1/break-glass", 409, R"({"silo": "a", "reason": "x"})") ==
        "this server is in no cluster");
  CHECK(refused("/api/v1/partitions/70000/break-glass", 404) ==
        "'70000' is no number of a partition");
  CHECK(refused("/api/v1/partitions/1/acknowledge-loss", 409) == "silo 'silo' is in no cluster");
  CHECK(here.ask(method::get, "/api/v1/silos", 200)["silos"][0]["state"] == "active");
}

TEST_CASE("operators are answered") {
  served_node here;
  CHECK(here.send(method::get, "/livez").status == 200);
  CHECK(here.send(method::get, "/readyz").status == 200);
  CHECK(here.ask(method::get, "/version", 200).contains("version"));
  const auto metrics = here.send(method::get, "/metrics").body;
  CHECK(metrics.find("\nmillrace_gateway_requests_total 4\n") != std::string::npos);
  CHECK(metrics.find("\nmillrace_storage_commits_total ") != std::string::npos);
  CHECK(metrics.find("\nmillrace_runtime_activations{type=\"pool\"} 1\n") != std::string::npos);
}

}  // namespace
}  // namespace millrace::gateway
