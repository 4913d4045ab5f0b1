// SPDX-License-Identifier: MIT
// Submissions of which nobody knows the outcome: their silo was lost, or gave its partition away.
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "api/api.h"
#include "folders.h"
#include "gateway/http/wire.h"
#include "http/client.h"
#include "millrace/actors/pipeline_host.h"
#include "millrace/pipeline.capnp.actor.h"
#include "millrace/testing/test_silo.h"

namespace millrace::gateway {
namespace {

using http::method;

// A real server over a silo that loses answers.
class losing_server {
public:
  enum class loss : std::uint8_t { before_it_begins, after_it_has_begun };

  losing_server() {
    REQUIRE(send(method::put, "", "{name: p, tasks: [{name: t, run: x}]}").status == 201);
  }
  // And refuses what is asked then, if so.
  void lose(unsigned count, loss when, bool then_refuses = false,
            runtime::duration each_takes = {}) {
    when_ = when;
    takes_ = each_takes;
    to_lose_ = count;
    refuses_ = then_refuses;
    asked_ = 0;
  }
  http::client_response submit() { return send(method::post, "/runs", {}); }
  std::size_t run_count() {
    return nlohmann::json::parse(send(method::get, "/runs", {}).body)["runs"].size();
  }
  unsigned asked() const { return asked_; }

private:
  http::client_response send(method verb, const std::string& target, const std::string& body) {
    http::client_options options;
    options.base = {"127.0.0.1", server_.port, ""};
    auto answer = http::client{std::move(options), server_.clock}.send(
        verb, "/api/v1/projects/default/pipelines/p" + target, body);
    REQUIRE(answer);
    return *std::move(answer);
  }
  void prepare(runtime::silo& here) {
    here.add_filter([this](runtime::incoming_call& call) -> runtime::async<runtime::any_message> {
      if (call.method().name != "submit_new") {
        co_return co_await call.proceed();
      }
      ++asked_;
      if (to_lose_ == 0) {
        if (refuses_) {
          co_return runtime::error{runtime::errc::overloaded, "the disk is behind with commits"};
        }
        co_return co_await call.proceed();
      }
      --to_lose_;
      silo_.clock().move(takes_);
      if (when_ == loss::after_it_has_begun) {
        std::ignore = co_await runtime::as_result(call.proceed());
        // What a method did before it last suspended stays when it fails.
        const auto other = runtime::ref<schemas::Project>(std::string{"default"});
        std::ignore = co_await runtime::as_result(other.pipelines("", 1));
      }
      co_return runtime::error{runtime::errc::outcome_unknown, "silo 'a' was lost"};
    });
    host_ = *actors::pipeline_host::open({.data_directory = folder_.path}, here);
  }
  http::handler routes() {
    add_api(routes_, parts_);
    return routes_.as_handler();
  }

  std::atomic<unsigned> to_lose_{0};
  std::atomic<unsigned> asked_{0};
  std::atomic<bool> refuses_{false};
  std::atomic<loss> when_{};
  std::atomic<runtime::duration> takes_{};
  testing::temporary_folder folder_;
  std::unique_ptr<actors::pipeline_host> host_;
  testing::test_silo silo_{[this](runtime::silo& here) { prepare(here); }};
  runtime::system_clock clock_;
  file_thread files_{"logs", clock_};
  file_thread bodies_{"bodies", clock_};
  file_thread inspections_{"inspections", clock_};
  api_parts parts_{silo_.here(), host_.get(), files_, bodies_, bodies_, inspections_, {}};
  http::router routes_;
  http::running server_{routes()};
};

TEST_CASE("a submission without a key whose outcome is lost is asked for again, and runs once") {
  losing_server server;
  std::size_t runs = 0;
  for (const auto when :
       {losing_server::loss::before_it_begins, losing_server::loss::after_it_has_begun}) {
    server.lose(3, when);
    const auto answer = server.submit();
    CHECK(answer.status == 201);
    CHECK(answer.headers.find("Location"));
    CHECK(server.asked() == 4);
    CHECK(server.run_count() == ++runs);
  }
  server.lose(4, losing_server::loss::after_it_has_begun);
  const auto answer = server.submit();
  CHECK(answer.status == 504);
  CHECK(nlohmann::json::parse(answer.body)["code"] == "outcome_unknown");
  CHECK(server.run_count() == ++runs);
}

// Goal: a client that repeats what was refused by itself does not get two runs.
TEST_CASE("a refusal of what may have been submitted before is no word of that") {
  losing_server server;
  server.lose(1, losing_server::loss::after_it_has_begun, true);
  const auto answer = server.submit();
  CHECK(answer.status == 504);
  CHECK(nlohmann::json::parse(answer.body)["code"] == "outcome_unknown");
  CHECK(server.run_count() == 1);
  server.lose(0, losing_server::loss::before_it_begins, true);
  CHECK(server.submit().status == 429);  // of one that was not asked for before
  CHECK(server.run_count() == 1);
}

TEST_CASE("a submission is asked for no longer than one call may take, however often") {
  losing_server server;
  server.lose(4, losing_server::loss::before_it_begins, false, std::chrono::seconds{20});
  const auto answer = server.submit();
  CHECK(answer.status == 504);
  CHECK(nlohmann::json::parse(answer.body)["code"] == "outcome_unknown");
  CHECK(server.asked() == 2);
}

}  // namespace
}  // namespace millrace::gateway
