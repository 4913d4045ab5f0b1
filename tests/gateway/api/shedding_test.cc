// SPDX-License-Identifier: MIT
// Overload, as clients see it: what is too much is refused with a hint, the rest goes on.
#include <atomic>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "api/api.h"
#include "folders.h"
#include "gateway/http/wire.h"
#include "http/client.h"
#include "runtime/silo/fixture.h"

namespace millrace::gateway {
namespace {

using http::method;

constexpr std::uint32_t mailbox_max = 2;

// A real server over a silo of counters and pipelines.
class busy_server {
public:
  http::client_response send(method verb, const std::string& target, const std::string& body = {}) {
    http::client_options options;
    options.base = {"127.0.0.1", server_.port, ""};
    auto answer = http::client{std::move(options), server_.clock}.send(verb, target, body);
    REQUIRE(answer);
    return *std::move(answer);
  }
  int status(method verb, const std::string& target, const std::string& body = {}) {
    return send(verb, target, body).status;
  }
  // The request is refused for now, and says for how long.
  void check_refused(method verb, const std::string& target, const std::string& body = {}) {
    const auto answer = send(verb, target, body);
    CAPTURE(target);
    CHECK(answer.status == 429);
    CHECK(answer.headers.find("Retry-After") == "1");
    CHECK(answer.headers.find("Content-Type") == "application/problem+json");
    CHECK(nlohmann::json::parse(answer.body)["code"] == "overloaded");
  }
  // Returns when a call of that counter has begun.
  void wait_for_begin(const std::string& key) {
    while (begun_.take() != key) {
    }
  }
  // Adds one from within the program; the call is in the mailbox when this returns.
  std::future<bool> begin_add(const std::string& key) {
    auto promise = std::make_shared<std::promise<bool>>();
    auto done = promise->get_future();
    silo_.here().call_then<testing::counter::add_results>(
        runtime::ref<testing::Counter>(key).add(1),
        [promise](const auto& answer) { promise->set_value(answer.has_value()); });
    return done;
  }
  std::uint64_t refused() { return silo_.here().stats().overloaded_total; }
  actors::pipeline_host& host() { return *host_; }
  // Keeps a thread busy until the promise is kept, and returns when it is.
  void hold(file_thread& thread, std::shared_future<void> until) {
    std::promise<void> begun;
    REQUIRE(thread.post([until, &begun] {
      begun.set_value();
      until.wait();
    }));
    begun.get_future().wait();
  }
  file_thread& files() { return files_; }
  file_thread& inspections() { return inspections_; }
  void pass(std::chrono::seconds time) { clock_.offset = clock_.offset.load() + time; }
  void pass_in_silo(std::chrono::seconds time) { silo_.advance(time); }
  testing::faulty_storage& rows() { return silo_.rows(); }
  std::uint16_t port() const { return server_.port; }

private:
  void prepare(runtime::silo& here) {
    here.add<testing::counter>();
    here.add_filter([this](runtime::incoming_call& call) -> runtime::async<runtime::any_message> {
      if (call.interface().type == "counter") {
        begun_.put(call.key());
      }
      co_return co_await call.proceed();
    });
    host_ = *actors::pipeline_host::open({.data_directory = folder_.path}, here);
  }
  http::handler routes() {
    add_api(routes_, parts_);
    return routes_.as_handler();
  }

  testing::temporary_folder folder_;
  http::slot<std::string> begun_;
  std::unique_ptr<actors::pipeline_host> host_;
  testing::test_silo silo_{[this](runtime::silo& here) { prepare(here); },
                           {.mailbox_messages_max = mailbox_max}};
  // The kernel's clock, set forward by hand.
  struct moved_clock final : runtime::clock {
    [[nodiscard]] runtime::wall_time wall() const override { return base.wall() + offset.load(); }
    [[nodiscard]] runtime::steady_time steady() const override {
      return base.steady() + offset.load();
    }
    runtime::system_clock base;
    std::atomic<runtime::duration> offset{};
  };
  moved_clock clock_;
  file_thread files_{"logs", clock_};
  file_thread bodies_{"bodies", clock_};
  file_thread inspections_{"inspections", clock_};
  api_parts parts_{silo_.here(), host_.get(), files_, bodies_, bodies_, inspections_, {}};
  http::router routes_;
  http::running server_{routes()};
};

std::string post(const std::string& target, const std::string& body) {
  return "POST /api/v1/actors/counter/" + target +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST_CASE("a busy actor refuses what its mailbox has no room for, others answer, and it recovers") {
  busy_server server;
  http::wire holds{server.port()};
  holds.send(post("busy/pause", R"({"limit_ms": "3600000", "then_cancel": false})"));
  server.wait_for_begin("busy");
  std::vector<std::future<bool>> waiting;
  for (std::uint32_t at = 0; at < mailbox_max; ++at) {
    waiting.push_back(server.begin_add("busy"));
  }

  server.check_refused(method::post, "/api/v1/actors/counter/busy/add", R"({"amount": "1"})");
  server.check_refused(method::post, "/api/v1/actors/counter/busy/get", "{}");
  CHECK(server.refused() == 2);
  CHECK(server.status(method::post, "/api/v1/actors/counter/idle/add", R"({"amount": "1"})") ==
        200);
  CHECK(server.status(method::get, "/readyz") == 200);

  holds.leave();  // cancels the call
  for (auto& each : waiting) {
    CHECK(each.get());
  }
  const auto answer = server.send(method::post, "/api/v1/actors/counter/busy/get", "{}");
  CHECK(answer.status == 200);
  CHECK(nlohmann::json::parse(answer.body)["total"] == 2);  // nothing refused was done
}

TEST_CASE("inspections that wait hold up neither logs nor figures, and too many are refused") {
  busy_server server;
  std::promise<void> over;
  server.hold(server.inspections(), over.get_future().share());
  for (std::size_t at = 0; at < file_thread::waiting_max_default; ++at) {
    REQUIRE(server.inspections().post([] {}));
  }
  server.check_refused(method::get, "/api/v1/dead-letters");
  server.check_refused(method::del, "/api/v1/dead-letters/counter/a/1");
  CHECK(server.status(method::get, "/metrics") == 200);
  CHECK(server.status(method::get, "/readyz") == 200);
  over.set_value();
  std::promise<void> drained;
  server.inspections().go_on([&] { drained.set_value(); });
  drained.get_future().wait();
  CHECK(server.status(method::get, "/api/v1/dead-letters") == 200);
}

TEST_CASE("a thread for logs that makes no progress is told, and refuses what it has no room for") {
  busy_server server;
  std::promise<void> over;
  server.hold(server.files(), over.get_future().share());
  CHECK(server.status(method::get, "/readyz") == 200);
  server.pass(std::chrono::seconds{6});
  const auto told = server.send(method::get, "/readyz");
  CHECK(told.status == 503);
  const std::string words = "the thread that reads logs has made no progress for ";
  const auto place = told.body.find(words);
  REQUIRE(place != std::string::npos);
  CHECK(std::stoi(told.body.substr(place + words.size())) >= 6);
  for (std::size_t at = 0; at < file_thread::waiting_max_default; ++at) {
    REQUIRE(server.files().post([] {}));
  }
  server.check_refused(method::get, "/metrics");
  over.set_value();
  std::promise<void> drained;
  server.files().go_on([&] { drained.set_value(); });
  drained.get_future().wait();
  CHECK(server.status(method::get, "/readyz") == 200);
  CHECK(server.status(method::get, "/metrics") == 200);
}

// Method: what is called when an attempt ends keeps the executor's thread.
TEST_CASE("an executor that makes no progress is told") {
  busy_server server;
  std::promise<void> held;
  std::promise<void> over;
  actors::process_spec attempt;
  attempt.token = "run.a.A1";
  attempt.argv = {"/bin/true"};
  attempt.working_directory = "/";
  REQUIRE(server.host().processes().start(
      std::move(attempt), [&, until = over.get_future().share()](const actors::process_exit&) {
        held.set_value();
        until.wait();
      }));
  held.get_future().wait();
  CHECK(server.status(method::get, "/readyz") == 200);
  server.pass_in_silo(std::chrono::seconds{6});
  const auto told = server.send(method::get, "/readyz");
  CHECK(told.status == 503);
  CHECK(told.body.find("the executor has made no progress for 6 s") != std::string::npos);
  CHECK(server.send(method::get, "/metrics").body.find("millrace_executor_busy_seconds 6\n") !=
        std::string::npos);
  over.set_value();
  const auto limit = std::chrono::steady_clock::now() + http::patience;
  while (server.status(method::get, "/readyz") != 200 && std::chrono::steady_clock::now() < limit) {
  }
  CHECK(server.status(method::get, "/readyz") == 200);
}

// Method: the attempt prints nothing, so that nothing but the closed connection ends the wait.
TEST_CASE("a follower of a quiet log that leaves is forgotten at once") {
  busy_server server;
  REQUIRE(server.host().join());
  REQUIRE(server.status(method::put, "/api/v1/projects/p/pipelines/quiet",
                        "name: quiet\ntasks: [{name: a, run: sleep 600, grace_period: 0s}]\n") ==
          201);
  const std::string run = nlohmann::json::parse(
      server.send(method::post, "/api/v1/projects/p/pipelines/quiet/runs").body)["id"];
  const auto wait_for = [&](std::uint32_t waiters) {
    const auto limit = std::chrono::steady_clock::now() + http::patience;
    while (server.host().processes().stats().log_waiters != waiters &&
           std::chrono::steady_clock::now() < limit) {
      std::this_thread::yield();
    }
    CHECK(server.host().processes().stats().log_waiters == waiters);
  };
  http::wire follower{server.port()};
  follower.send("GET /api/v1/runs/" + run +
                "/tasks/a/logs?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n");
  wait_for(1);
  follower.leave();
  wait_for(0);
  server.host().stop();
}

TEST_CASE("while the disk is behind writes are refused, reads and probes answered") {
  busy_server server;
  const std::string hello = "name: hello\ntasks:\n  - {name: say, run: 'true'}\n";
  const std::string pipeline = "/api/v1/projects/p/pipelines/hello";
  REQUIRE(server.status(method::put, pipeline, hello) == 201);

  server.rows().fall_behind(true);
  server.check_refused(method::post, "/api/v1/actors/counter/a/add", R"({"amount": "1"})");
  server.check_refused(method::put, pipeline, hello);
  server.check_refused(method::post, pipeline + "/runs");
  const auto told = server.send(method::get, "/readyz");  // balancers look elsewhere
  CHECK(told.status == 503);
  CHECK(nlohmann::json::parse(told.body)["code"] == "overloaded");
  CHECK(server.status(method::post, "/api/v1/actors/counter/a/get", "{}") == 200);
  CHECK(server.status(method::get, pipeline) == 200);
  CHECK(server.status(method::get, "/livez") == 200);

  server.rows().fall_behind(false);
  CHECK(server.status(method::get, "/readyz") == 200);
  CHECK(server.status(method::post, "/api/v1/actors/counter/a/add", R"({"amount": "1"})") == 200);
  CHECK(server.status(method::post, pipeline + "/runs") == 201);
}

}  // namespace
}  // namespace millrace::gateway
