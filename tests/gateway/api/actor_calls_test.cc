// SPDX-License-Identifier: MIT
// Calls of actors over HTTP: what travels with them, and when they end.
#include <doctest/doctest.h>

#include <filesystem>
#include <future>

#include "api/api.h"
#include "runtime/silo/counter.h"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using testing::counter;

// A client without a socket, which may leave.
class client final : public http::responder {
public:
  void complete(http::response answer) override { answered_.set_value(std::move(answer)); }
  std::shared_ptr<http::stream_sink> open(int, http::header_list, std::string_view) override {
    return nullptr;
  }
  void on_gone(http::task callback) override { gone_ = std::move(callback); }
  void leave() {
    if (gone_) {
      gone_();
    }
  }
  http::response answer() { return answered_.get_future().get(); }

private:
  std::promise<http::response> answered_;
  http::task gone_;
};

// The routes of a silo of counters, whose filter notes the trace of each call.
class served_counters {
public:
  served_counters() {
    here_.add<counter>();
    here_.add_filter([this](runtime::incoming_call& call) -> runtime::async<runtime::any_message> {
      const auto found = call.context().find("traceparent");
      trace_ = found != call.context().end() ? found->second : "none";
      began_.put();
      co_return co_await call.proceed();
    });
    std::string pattern = "/tmp/millrace-actor-calls-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
    auto opened = actors::pipeline_host::open({.data_directory = pattern}, here_);
    REQUIRE(opened);
    host_ = *std::move(opened);
    REQUIRE(here_.start());
    parts_.emplace(api_parts{here_, host_.get(), files_, bodies_, strangers_, inspections_, {}});
    api_routes routes{routes_, *parts_};
    add_actor_routes(routes);
  }
  served_counters(const served_counters&) = delete;
  served_counters& operator=(const served_counters&) = delete;
  ~served_counters() {
    here_.stop();
    host_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::shared_ptr<client> post(const std::string& path, const std::string& body,
                               std::string_view header = {}, const std::string& value = {}) {
    http::request asked;
    asked.method = http::method::post;
    REQUIRE(asked.set_target("/api/v1/actors/counter/" + path));
    asked.body = body;
    if (!header.empty()) {
      asked.headers.add(header, value);
    }
    auto one = std::make_shared<client>();
    routes_.handle(asked, http::reply{one});
    return one;
  }
  // Waits until a call has begun; its trace.
  std::string begun() {
    began_.take();
    return trace_;
  }

private:
  // Counts.
  class gate {
  public:
    void put() {
      const std::lock_guard lock{mutex_};
      ++count_;
      changed_.notify_all();
    }
    void take() {
      std::unique_lock lock{mutex_};
      REQUIRE(changed_.wait_for(lock, 60s, [this] { return count_ > 0; }));
      --count_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int count_ = 0;
  };

  gate began_;
  std::string trace_;
  std::string directory_;
  runtime::silo here_{runtime::make_memory_storage(), {.threads = 1}};
  std::unique_ptr<actors::pipeline_host> host_;
  const runtime::system_clock clock_for_files_;
  file_thread files_{"logs", clock_for_files_};
  file_thread bodies_{"bodies", clock_for_files_};
  file_thread strangers_{"strangers", clock_for_files_};
  file_thread inspections_{"inspections", clock_for_files_};
  std::optional<api_parts> parts_;
  http::router routes_;
};

constexpr const char* hour = R"({"limit_ms": "3600000", "then_cancel": false})";

TEST_CASE("a call ends when its client leaves") {
  served_counters here;
  const auto waits = here.post("a/pause", hour);
  CHECK(here.begun() == "none");
  const auto next = here.post("a/get", "{}");
  waits->leave();
  CHECK(waits->answer().status == 409);
  CHECK(next->answer().status == 200);  // the actor is free again
}

TEST_CASE("a call with an idempotency key outlives its client") {
  served_counters here;
  const auto waits = here.post("a/add", R"({"amount": "5"})", "Idempotency-Key", "k");
  waits->leave();
  CHECK(waits->answer().status == 200);
}

TEST_CASE("the trace of a request goes with its call, a malformed one does not") {
  served_counters here;
  const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const auto trace_of_call = [&](const std::string& value) {
    here.post("a/get", "{}", "traceparent", value)->answer();
    return here.begun();
  };
  CHECK(trace_of_call(good) == good);
  CHECK(trace_of_call("00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") == "none");
  CHECK(trace_of_call("00-00000000000000000000000000000000-00f067aa0ba902b7-01") == "none");
  CHECK(trace_of_call("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01") == "none");
  CHECK(trace_of_call("00-4bf92f3577b34da6a3ce929d0e0e4736") == "none");
  CHECK(trace_of_call("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") == "none");
}

}  // namespace
}  // namespace millrace::gateway
