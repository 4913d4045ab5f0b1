// SPDX-License-Identifier: MIT
#include "http/router.h"

#include <doctest/doctest.h>

#include "http/problem.h"

namespace millrace::gateway::http {
namespace {

/// A responder without a socket.
struct recorder final : responder {
  void complete(response answer) override { last = std::move(answer); }
  std::shared_ptr<stream_sink> open(int, header_list, std::string_view) override { return nullptr; }
  response last;
};

response ask(const router& routes, method method, std::string_view target) {
  request asked;
  asked.method = method;
  REQUIRE(asked.set_target(target));
  const auto to = std::make_shared<recorder>();
  routes.handle(asked, reply{to});
  return to->last;
}

handler says(std::string name) {
  return [name](request& asked, reply answer) {
    answer.send(text(200, name + ":" + std::string{asked.param("id")} + ":" +
                              std::string{asked.param("task")} + ":" + asked.rest("path")));
  };
}

router table() {
  router routes;
  routes.add(method::get, "/", says("root"));
  routes.add(method::get, "/api/v1/runs", says("list"));
  routes.add(method::post, "/api/v1/runs", says("create"));
  routes.add(method::post, "/api/v1/runs:batch", says("batch"));
  routes.add(method::get, "/api/v1/runs/{id}", says("run"));
  routes.add(method::get, "/api/v1/runs/latest", says("latest"));
  routes.add(method::get, "/api/v1/runs/{id}/tasks/{task}", says("task"));
  routes.add(method::del, "/api/v1/runs/{run}/lock", says("lock"));
  routes.add(method::get, "/assets/{path...}", says("asset"));
  routes.add(method::get, "/assets/app.js", says("app"));
  return routes;
}

}  // namespace

TEST_CASE("each path finds the most literal of its routes") {
  const auto routes = table();
  const std::pair<const char*, const char*> rows[] = {
      {"/", "root:::"},
      {"/api/v1/runs", "list:::"},
      {"/api/v1/runs/", "list:::"},
      {"/api/v1/runs/7", "run:7::"},
      {"/api/v1/runs/latest", "latest:::"},
      {"/api/v1/runs/latest/tasks/t", "task:latest:t:"},
      {"/api/v1/runs/a%2Fb/tasks/%C3%A9", "task:a/b:\xC3\xA9:"},
      {"/assets/app.js", "app:::"},
      {"/assets/css/a.css", "asset:::css/a.css"},
      {"/assets/app.js/x", "asset:::app.js/x"},
  };
  for (const auto& [target, expected] : rows) {
    CAPTURE(target);
    CHECK(ask(routes, method::get, target).body == expected);
  }
  CHECK(ask(routes, method::post, "/api/v1/runs:batch").body == "batch:::");
}

TEST_CASE("a path without a route is a 404 problem") {
  const auto routes = table();
  for (const auto* target : {"/api", "/api/v1/runs/7/tasks", "/api/v1/runs//tasks/t", "/assets"}) {
    CAPTURE(target);
    const auto answer = ask(routes, method::get, target);
    CHECK(answer.status == 404);
    CHECK(answer.content_type == problem_content_type);
    CHECK(answer.body.find("\"code\":\"not_found\"") != std::string::npos);
  }
}

TEST_CASE("a method without a handler is a 405 that lists the others") {
  const auto routes = table();
  const auto answer = ask(routes, method::put, "/api/v1/runs");
  CHECK(answer.status == 405);
  CHECK(answer.headers.find("Allow") == "GET, HEAD, POST, OPTIONS");
  CHECK(ask(routes, method::get, "/api/v1/runs/7/lock").headers.find("Allow") == "DELETE, OPTIONS");
}

TEST_CASE("OPTIONS lists the methods and HEAD goes to GET") {
  const auto routes = table();
  const auto options = ask(routes, method::options, "/api/v1/runs");
  CHECK(options.status == 204);
  CHECK(options.headers.find("Allow") == "GET, HEAD, POST, OPTIONS");
  CHECK(ask(routes, method::options, "*").status == 204);
  CHECK(ask(routes, method::head, "/api/v1/runs").body == "list:::");
}

TEST_CASE("a reply that is dropped answers 500") {
  const auto to = std::make_shared<recorder>();
  { const reply dropped{to}; }
  CHECK(to->last.status == 500);
}

}  // namespace millrace::gateway::http
