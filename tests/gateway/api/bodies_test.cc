// SPDX-License-Identifier: MIT
// Bodies of requests: what is large is read where it holds up nobody, and what is wrong is named.
#include <doctest/doctest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/api.h"
#include "folders.h"
#include "gateway/http/wire.h"
#include "runtime/silo/fixture.h"

namespace millrace::gateway {
namespace {

using http::method;

// Where an answer came from, and what it is.
struct answered {
  http::response answer;
  std::thread::id from;
};

// A client without a socket.
class client final : public http::responder {
public:
  void complete(http::response answer) override {
    got_.put({std::move(answer), std::this_thread::get_id()});
  }
  std::shared_ptr<http::stream_sink> open(int, http::header_list, std::string_view) override {
    return nullptr;
  }
  answered take() { return got_.take(); }

private:
  http::slot<answered> got_;
};

// The routes of a silo that runs pipelines.
struct some_routes {
  some_routes() { add_api(routes, parts); }

  answered ask(method verb, const std::string& target, const std::string& body) {
    http::request asked;
    asked.method = verb;
    REQUIRE(asked.set_target(target));
    asked.body = body;
    const auto from = std::make_shared<client>();
    routes.handle(asked, http::reply{from});
    return from->take();
  }
  std::string detail(method verb, const std::string& target, const std::string& body) {
    const auto got = ask(verb, target, body);
    CHECK(got.answer.status == 400);
    return nlohmann::json::parse(got.answer.body)["detail"];
  }

  testing::temporary_folder folder;
  std::unique_ptr<actors::pipeline_host> host;
  testing::test_silo silo{[this](runtime::silo& here) {
    host = *actors::pipeline_host::open({.data_directory = folder.path}, here);
  }};
  const runtime::system_clock clock;
  file_thread files{"logs", clock};
  file_thread bodies{"large bodies", clock, bodies_waiting_max};
  file_thread inspections{"inspections", clock};
  api_parts parts{silo.here(), host.get(), files, bodies, bodies, inspections, {}};
  http::router routes;
};

std::string definition_of(std::size_t bytes) {
  return "name: hello\ndescription: " + std::string(bytes, 'd') +
         "\ntasks: [{name: say, run: echo}]\n";
}

}  // namespace

TEST_CASE("a large body is not read on the thread that brought it") {
  some_routes here;
  const auto small = here.ask(method::post, "/api/v1/validate", definition_of(10));
  CHECK(small.answer.status == 200);
  CHECK(small.from == std::this_thread::get_id());
  const auto large = here.ask(method::post, "/api/v1/validate", definition_of(100'000));
  CHECK(large.answer.status == 200);
  CHECK(large.from != std::this_thread::get_id());
  const auto json = here.ask(method::post, "/api/v1/actors/run/r/events",
                             R"({"limit":"x","after":)" + std::string(100'000, ' ') + "0}");
  CHECK(json.answer.status == 400);
  CHECK(json.from != std::this_thread::get_id());
}

// Method: the thread that reads bodies is held, and its queue filled.
TEST_CASE("large bodies that wait to be read have a bound") {
  some_routes here;
  std::promise<void> gate;
  here.bodies.go_on([opened = gate.get_future().share()] { opened.wait(); });
  std::vector<std::shared_ptr<client>> waiting;
  auto refused = 0;
  for (int each = 0; each < 100; ++each) {
    http::request asked;
    asked.method = method::post;
    REQUIRE(asked.set_target("/api/v1/validate"));
    asked.body = definition_of(5'000);
    auto from = std::make_shared<client>();
    here.routes.handle(asked, http::reply{from});
    waiting.push_back(std::move(from));
  }
  gate.set_value();
  for (const auto& each : waiting) {
    const auto got = each->take();
    refused += got.answer.status == 429 ? 1 : 0;
    CHECK((got.answer.status == 200 || got.answer.headers.find("Retry-After") == "1"));
  }
  CHECK(refused >= 30);
  CHECK(refused <= 40);
}

TEST_CASE("JSON that is deep, or has a key twice, is refused with its place") {
  some_routes here;
  const std::string runs = "/api/v1/projects/p/pipelines/hello/runs";
  CHECK(here.detail(method::post, runs, R"({"params":{"a":1,"b":{"c":1,"c":2}}})") ==
        "/params/b/c: this key stands there twice");
  CHECK(here.detail(method::post, runs, R"({"params":{},"params":{}})") ==
        "/params: this key stands there twice");
  CHECK(here.detail(method::post, "/api/v1/actors/run/r/events", R"({"limit":1,"limit":2})") ==
        "/limit: this key stands there twice");
  const auto deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK(here.detail(method::post, runs, R"({"params":{"a":)" + deep + "}}") ==
        "/params: nested deeper than 64");
  CHECK(here.detail(method::post, "/api/v1/actors/run/r/events", deep) ==
        "the body: nested deeper than 64");
}

TEST_CASE("what no route has is refused rather than passed over") {
  some_routes here;
  const auto status = [&](method verb, const char* field, const char* value,
                          const char* target = "/api/v1/runs/r/cancel") {
    http::request asked;
    asked.method = verb;
    REQUIRE(asked.set_target(target));
    asked.headers.add(field, value);
    asked.body = "{}";
    const auto from = std::make_shared<client>();
    here.routes.handle(asked, http::reply{from});
    return from->take().answer.status;
  };
  CHECK(status(method::post, "Content-Encoding", "gzip") == 415);
  CHECK(status(method::post, "Content-Encoding", "Identity") == 404);
  CHECK(status(method::post, "If-Match", "\"1\"") == 412);
  CHECK(status(method::post, "If-Match", "*") == 404);
  CHECK(status(method::del, "If-Match", "\"1\"", "/api/v1/tokens/t") == 412);
  for (const auto* target : {"/api/v1/projects/p/secrets/s", "/api/v1/projects/p/settings"}) {
    CHECK(status(method::put, "If-Match", "\"1\", \"2\"", target) == 400);
    for (const auto* tag : {"\"1\"", "*"}) {
      CHECK(status(method::put, "If-None-Match", tag, target) == 412);
    }
  }
  CHECK(status(method::put, "If-None-Match", "*", "/api/v1/projects/p/pipelines/x") == 422);
}

TEST_CASE("names in paths are names, else they are refused with the rule") {
  some_routes here;
  for (const std::string name : {"a%0d%0aSet-Cookie:x", "%24(id)", "a%e2%80%aeb", "A", "-a",
                                 "%2e%2fa", "a%2fb", "a%20b", "%ff"}) {
    CAPTURE(name);
    const auto project = std::string{"/api/v1/projects/"} + name + "/pipelines";
    const auto pipeline = std::string{"/api/v1/projects/p/pipelines/"} + name;
    for (const auto& [verb, target] :
         {std::pair{method::get, project},
          {method::put, project + "/hello"},
          {method::get, project + "/hello"},
          {method::post, project + "/hello/runs"},
          {method::get, project + "/hello/runs"},
          {method::get, pipeline},
          {method::post, pipeline + "/runs"},
          {method::get, pipeline + "/runs"},
          {method::get, std::string{"/api/v1/runs?project="} + name}}) {
      CAPTURE(target);
      const auto why = here.detail(verb, target, verb == method::put ? definition_of(1) : "");
      CHECK(http::has(why, "use a-z, 0-9, `_`, `.` and `-`, starting with a letter or digit"));
    }
    if (name == "%ff") {
      continue;  // the runtime knows already that it is no key
    }
    const auto key = std::string{"/api/v1/actors/pipeline/"} + name + "%2Fhello/apply";
    CHECK(http::has(
        here.detail(method::post, key, nlohmann::json{{"definition", definition_of(1)}}.dump()),
        "the key of a pipeline is PROJECT/NAME"));
  }
}

TEST_CASE("the names of tasks that are asked for are a list of texts, as they stand") {
  some_routes here;
  const auto why = [&](const std::string& only) {
    return here.detail(method::post, "/api/v1/projects/p/pipelines/x/runs",
                       R"({"only": )" + only + "}");
  };
  for (const auto* each : {"[]", R"("a")", "null", "{}", "1", "[1]", R"(["a", null])"}) {
    CAPTURE(each);
    CHECK(why(each) == "/only: expected the names of tasks, at least one");
  }
  for (const auto* each : {R"(["a\u0000b"])", R"(["a", "\n"])", R"(["a\u007f"])"}) {
    CAPTURE(each);
    CHECK(why(each) == "/only: a name has a control character");
  }
}

}  // namespace millrace::gateway
