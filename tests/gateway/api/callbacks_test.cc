// SPDX-License-Identifier: MIT
// Callbacks over a socket: the token in the path is enough, and without it there is nothing.
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>

#include "gateway/api/served_node.h"

namespace millrace::gateway {
namespace {

const std::string root = "root-of-all-tokens-for-these-tests-0123456789";

class calling_node : public served_node {
public:
  explicit calling_node(request_rates rates = {.a_second = 0, .wrong_tokens = 100'000})
      : served_node{executor::own, root, rates} {
    ask(method::put, "/api/v1/projects/p/pipelines/calls", 201,
        "name: calls\ntasks:\n"
        "  - {name: start, env: {URL: '${{ tasks.wait.callback }}'}, run: 'printf %s \"$URL\" > " +
            file() + "'}\n  - {name: wait, needs: [start], callback: {prompt: A word}}\n",
        shown);
    run = ask(method::post, "/api/v1/projects/p/pipelines/calls/runs", 201, {}, shown)["id"];
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (task("wait")["reason"] != "waits for callback: A word") {
      REQUIRE(std::chrono::steady_clock::now() < end);
    }
    std::ostringstream text;
    text << std::ifstream{file()}.rdbuf();
    path = text.str();
  }

  json task(const std::string& name) {
    const auto told = ask(method::get, "/api/v1/runs/" + run + "/tasks", 200, {}, shown);
    for (const auto& each : told["tasks"]) {
      if (each["id"] == name) {
        return each;
      }
    }
    return {};
  }
  std::string file() const { return (folder() / "url").string(); }
  int call(const std::string& target, const std::string& body = {},
           const http::header_list& headers = {}) {
    return send(method::post, target, body, headers).status;
  }
  std::string state() {
    return ask(method::get, "/api/v1/runs/" + run + "?wait=50s", 200, {}, shown)["state"];
  }

  const http::header_list shown{{"Authorization", "Bearer " + root}};
  std::string run;
  std::string path;
};

TEST_CASE("whoever has the path of a callback ends its task, once, without a token") {
  calling_node served;
  CHECK(served.path.starts_with("/api/v1/callbacks/" + served.run + ".wait."));
  const std::string body = R"({"state": "failed", "reason": "no room", "outputs": {"at": "3"}})";
  CHECK(served.call(served.path, body) == 202);
  CHECK(served.call(served.path, body) == 200);
  CHECK(served.call(served.path, "{}") == 409);
  CHECK(served.state() == "failed");
  const auto task = served.task("wait");
  CHECK(task["reason"] == "no room");
  CHECK(task["outputs"] == json::parse(R"([{"name": "at", "value": "3", "kept": null}])"));
}

TEST_CASE("without a body a callback lets its task succeed") {
  calling_node served;
  CHECK(served.call(served.path) == 202);
  CHECK(served.state() == "succeeded");
}

TEST_CASE("what is not the path of a callback is told apart from nothing, and counts") {
  calling_node served{{.a_second = 0, .wrong_tokens = 6}};
  const auto detail = [&](const std::string& target) {
    const auto told = served.send(method::post, target, "{}");
    CHECK(told.status == 404);
    return json::parse(told.body)["detail"].get<std::string>();
  };
  const auto none = detail("/api/v1/callbacks/x");
  auto other = served.path;
  other.back() = other.back() == '0' ? '1' : '0';
  CHECK(detail(other) == none);
  other = served.path;
  other.replace(other.find(".wait."), 6, ".start.");
  CHECK(detail(other) == none);
  other = served.path;
  other.replace(other.find(served.run), served.run.size(), "01900000-0000-7000-8000-000000000000");
  CHECK(detail(other) == none);
  CHECK(detail(served.path.substr(0, served.path.size() - 1)) == none);
  CHECK(detail("/api/v1/callbacks/y") == none);
  CHECK(served.call("/api/v1/callbacks/z") == 429);
  CHECK(served.call(served.path) == 202);
}

// Goal: what has no good token is a wrong one, whatever its body is like; and little of it is read.
TEST_CASE("a bad body counts as a wrong token until a good one has come with it") {
  calling_node served{{.a_second = 0, .wrong_tokens = 3}};
  auto other = served.path;
  other.back() = other.back() == '0' ? '1' : '0';
  CHECK(served.call(other, "[") == 400);
  CHECK(served.call(other, "{\"reason\": \"" + std::string(10'000, 'x') + "\"}") == 400);
  CHECK(served.call(other, std::string((std::size_t{512} << 10U) + 1, ' ')) == 413);
  CHECK(served.call(other, "[") == 400);
  CHECK(served.call(other, "[") == 429);
  CHECK(served.call(served.path, std::string(std::size_t{512} << 10U, ' ')) == 202);
}

TEST_CASE("who may read a run is not shown how to call it") {
  calling_node served;
  const auto secret = served.path.substr(served.path.size() - 32);
  const std::string run = "/api/v1/runs/" + served.run;
  for (const auto& path : {run, run + "/tasks", run + "/tasks/start", run + "/tasks/wait",
                           run + "/tasks/start/logs", "/api/v1/actors/run/" + served.run + "/state",
                           "/api/v1/actors/run/" + served.run + "/state?map=pinned",
                           "/api/v1/actors/task/" + served.run + "%2Fstart/state",
                           "/api/v1/actors/task/" + served.run + "%2Fstart/state?map=spec"}) {
    CAPTURE(path);
    const auto told = served.send(method::get, path, {}, served.shown);
    CHECK(told.status == 200);
    CHECK(told.body.find(secret) == std::string::npos);
  }
  CHECK(served.call(served.path) == 202);
  CHECK(served.state() == "succeeded");
}

}  // namespace
}  // namespace millrace::gateway
