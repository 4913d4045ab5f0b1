// SPDX-License-Identifier: MIT
// The exporter against a collector that is a real server.
#include "trace/otlp_exporter.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <deque>
#include <nlohmann/json.hpp>
#include <set>

#include "http/server.h"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using runtime::span;

// What a collector answers: a status each, then 200 for good.
class collector {
public:
  explicit collector(std::deque<int> statuses = {})
      : statuses_(std::move(statuses)),
        server_(
            {}, [this](http::request& asked, http::reply answer) { take(asked, answer); }, clock_) {
    const auto port = server_.start();
    REQUIRE(port);
    url_ = "http://127.0.0.1:" + std::to_string(*port);
  }
  collector(const collector&) = delete;
  collector& operator=(const collector&) = delete;
  ~collector() { server_.stop(0ms); }

  [[nodiscard]] const std::string& url() const { return url_; }
  void body_of_answer(std::string text) { body_ = std::move(text); }

  // Waits until so many requests have come, and gives their bodies.
  std::vector<json> requests(std::size_t count) {
    std::unique_lock lock{mutex_};
    REQUIRE(changed_.wait_for(lock, 60s, [&] { return requests_.size() >= count; }));
    return requests_;
  }
  // The names of the spans that were taken, in the order in which they came.
  std::vector<std::string> names() {
    const std::lock_guard lock{mutex_};
    return taken_;
  }

private:
  void take(http::request& asked, http::reply& answer) {
    CHECK(asked.path() == "/v1/traces");
    CHECK(asked.headers.find("Content-Type") == "application/json");
    const std::lock_guard lock{mutex_};
    auto status = 200;
    if (!statuses_.empty()) {
      status = statuses_.front();
      statuses_.pop_front();
    }
    const auto& made = requests_.emplace_back(json::parse(asked.body));
    if (status == 200) {
      for (const auto& each : made["resourceSpans"][0]["scopeSpans"][0]["spans"]) {
        taken_.push_back(each["name"]);
      }
    }
    changed_.notify_all();
    answer.send(http::json(status, body_));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<int> statuses_;
  std::string body_ = "{}";
  std::vector<json> requests_;
  std::vector<std::string> taken_;
  const runtime::system_clock clock_;
  http::server server_;
  std::string url_;
};

constexpr span_queue_limits at_once{.collect_for = 0ms, .retry_first = 10ms};

struct lines {
  std::mutex mutex;
  std::string all;
  std::function<void(std::string_view)> sink() {
    return [this](std::string_view line) {
      const std::lock_guard lock{mutex};
      all.append(line).append("\n");
    };
  }
};

otlp_options to(const std::string& url, span_queue_limits limits = at_once) {
  return {.collector = *http::parse_url(url),
          .resource = {.instance = "a", .version = "1"},
          .warn = {},
          .limits = limits};
}

span named(std::string name) {
  span made;
  made.own = {{1, 2}, runtime::span_id{3}, true};
  made.name = std::move(name);
  return made;
}

TEST_CASE("spans arrive at the collector, with whose they are") {
  collector there;
  otlp_exporter exporter{to(there.url())};
  exporter.ended(named("one"));
  const auto requests = there.requests(1);
  CHECK(requests[0]["resourceSpans"][0]["resource"]["attributes"][1]["value"]["stringValue"] ==
        "a");
  exporter.stop();
  CHECK(there.names() == std::vector<std::string>{"one"});
  const auto stats = exporter.stats();
  CHECK(stats.sent_total == 1);
  CHECK(stats.dropped_total == 0);
  CHECK(stats.waiting == 0);
}

TEST_CASE("what a collector cannot take for now it gets later, once") {
  collector there{{503, 429, 502}};
  otlp_exporter exporter{to(there.url())};
  exporter.ended(named("one"));
  CHECK(there.requests(4).size() == 4);
  exporter.stop();
  CHECK(there.names() == std::vector<std::string>{"one"});
  CHECK(exporter.stats().failures_total == 3);
  CHECK(exporter.stats().sent_total == 1);
}

TEST_CASE("what a collector refuses is dropped and told, and what follows arrives") {
  collector there{{400}};
  lines told;
  auto options = to(there.url());
  options.warn = told.sink();
  otlp_exporter exporter{std::move(options)};
  exporter.ended(named("bad"));
  static_cast<void>(there.requests(1));
  exporter.ended(named("good"));
  static_cast<void>(there.requests(2));
  exporter.stop();
  CHECK(there.names() == std::vector<std::string>{"good"});
  CHECK(exporter.stats().dropped_total == 1);
  CHECK(told.all == "spans were dropped count=1 why=" + there.url() + " answers 400\n");
}

TEST_CASE("spans that a collector rejects of a request are dropped") {
  collector there;
  there.body_of_answer(R"({"partialSuccess": {"rejectedSpans": "1"}})");
  otlp_exporter exporter{to(there.url())};
  exporter.ended(named("one"));
  static_cast<void>(there.requests(1));
  exporter.stop();
  CHECK(exporter.stats().dropped_total == 1);
  CHECK(exporter.stats().sent_total == 0);
}

TEST_CASE("at its end an exporter sends what is left") {
  collector there;
  otlp_exporter exporter{to(there.url(), {.collect_for = 1h})};
  for (int count = 0; count < 1'000; ++count) {
    exporter.ended(named(std::to_string(count)));
  }
  exporter.stop();
  CHECK(there.names().size() == 1'000);
  CHECK(exporter.stats().sent_total == 1'000);
  CHECK(exporter.stats().waiting == 0);
}

// Goal: nobody waits for a collector that is not there, and what it does not get is known.
TEST_CASE("without a collector nothing blocks, and drops are counted and told") {
  std::string gone;
  {
    collector there;
    gone = there.url();
  }
  lines told;
  auto options = to(gone, {.spans_max = 100, .collect_for = 0ms, .give_up_after = 1h});
  options.warn = told.sink();
  otlp_exporter exporter{std::move(options)};
  for (int count = 0; count < 100'000; ++count) {
    exporter.ended(named("x"));
  }
  CHECK(exporter.stats().dropped_total >= 99'900);
  CHECK(exporter.stats().waiting <= 100);
  exporter.stop();
  CHECK(exporter.stats().dropped_total == 100'000);
  CHECK(exporter.stats().sent_total == 0);
  CHECK(told.all.find("spans were dropped count=") == 0);
  CHECK_MESSAGE(told.all.find("connection refused") != std::string::npos, told.all);
}

TEST_CASE("a text of a span that is too long is cut") {
  collector there;
  otlp_exporter exporter{to(there.url())};
  auto one = named("one");
  one.attributes = {{"url.path", std::string(10'000, 'x')}};
  exporter.ended(std::move(one));
  const auto spans = there.requests(1)[0]["resourceSpans"][0]["scopeSpans"][0]["spans"];
  CHECK(spans[0]["attributes"][0]["value"]["stringValue"] == std::string(1'024, 'x'));
}

}  // namespace
}  // namespace millrace::gateway
