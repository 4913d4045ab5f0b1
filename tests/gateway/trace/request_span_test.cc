// SPDX-License-Identifier: MIT
// Which trace a request is part of, and what is told of it.
#include "trace/request_span.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gateway/http/wire.h"
#include "http/problem.h"

namespace millrace::gateway {
namespace {

using http::request;
using runtime::span_id;

constexpr const char* sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr const char* quiet = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

class nowhere final : public runtime::span_sink {
public:
  void ended(runtime::span) noexcept override {}
};

request asked(const std::vector<const char*>& parents, const char* target = "/api/v1/runs") {
  request made;
  REQUIRE(made.set_target(target));
  for (const auto* each : parents) {
    made.headers.add("TraceParent", each);
  }
  return made;
}

const runtime::system_clock machine;

http::request_trace place(const request& received, bool has_sink, double ratio = 1) {
  static runtime::rng random{3};
  runtime::trace_options to;
  to.sink = has_sink ? std::make_shared<nowhere>() : nullptr;
  to.ratio = ratio;
  return place_of(received, to, random, machine);
}

TEST_CASE("a request goes on with the trace that it comes with, as that says") {
  const auto above = *runtime::parse_traceparent(sampled);
  const auto told = place(asked({sampled}), true, 0);
  CHECK(told.own.trace == above.trace);
  CHECK(told.own.span != above.span);
  CHECK(told.own.is_sampled);
  CHECK(told.is_told);
  CHECK(told.parent == above.span);
  CHECK(told.began != runtime::wall_time{});

  const auto untold = place(asked({quiet}), true, 1);
  CHECK_FALSE(untold.is_told);
  CHECK(to_traceparent(untold.own) == quiet);
}

TEST_CASE("without a collector a trace is passed on as it came") {
  const auto passed = place(asked({sampled}), false);
  CHECK_FALSE(passed.is_told);
  CHECK(to_traceparent(passed.own) == sampled);
}

TEST_CASE("a request without a trace begins one") {
  for (const auto& parents : {std::vector<const char*>{}, {"no traceparent"}, {sampled, sampled}}) {
    const auto begun = place(asked(parents), true);
    CHECK(begun.is_told);
    CHECK(begun.own);
    CHECK(begun.own.is_sampled);
    CHECK(begun.parent == span_id::none);
    CHECK(begun.own.trace != runtime::parse_traceparent(sampled)->trace);
    CHECK(begun.own.trace != place(asked(parents), true).own.trace);
  }
  CHECK_FALSE(place(asked({}), true, 0).own.is_sampled);
  CHECK(place(asked({}), true, 0).own);
  CHECK_FALSE(place(asked({}), false).own.is_sampled);
  CHECK(place(asked({}), false).own);
}

TEST_CASE("probes begin no trace that is told, but may be part of one") {
  CHECK_FALSE(place(asked({}, "/readyz"), true).is_told);
  CHECK_FALSE(place(asked({}, "/metrics"), true).is_told);
  CHECK(place(asked({sampled}, "/readyz"), true).is_told);
}

std::string text_of(const runtime::span& of, std::string_view name) {
  for (const auto& each : of.attributes) {
    if (each.name == name) {
      const auto* text = std::get_if<std::string>(&each.value);
      return text != nullptr ? *text : std::to_string(std::get<std::int64_t>(each.value));
    }
  }
  return "none";
}

TEST_CASE("a request's span has the names of OpenTelemetry's conventions") {
  const auto trace = place(asked({sampled}), true);
  const auto entry = [&](int status, std::string_view route) {
    return http::access_entry{"POST",
                              "/api/v1/x/1?wait=3s",
                              "/api/v1/x/1",
                              status,
                              0,
                              nullptr,
                              {},
                              false,
                              "10.0.0.7",
                              route,
                              trace};
  };
  const auto good = span_of(entry(201, "/api/v1/x/{id}"), trace.began, true);
  CHECK(good.name == "POST /api/v1/x/{id}");
  CHECK(good.kind == runtime::span_kind::server);
  CHECK(good.parent == trace.parent);
  CHECK(good.own == trace.own);
  CHECK(text_of(good, "http.request.method") == "POST");
  CHECK(text_of(good, "http.route") == "/api/v1/x/{id}");
  CHECK(text_of(good, "url.path") == "/api/v1/x/1");
  CHECK(text_of(good, "url.scheme") == "https");
  CHECK(text_of(good, "http.response.status_code") == "201");
  CHECK(text_of(good, "client.address") == "10.0.0.7");
  CHECK_FALSE(good.has_failed);

  const auto unknown = span_of(entry(404, {}), trace.began, false);
  CHECK(unknown.name == "POST");
  CHECK(text_of(unknown, "http.route") == "none");
  CHECK_FALSE(unknown.has_failed);
  const auto broken = span_of(entry(503, {}), trace.began, false);
  CHECK(broken.has_failed);
  CHECK(text_of(broken, "error.type") == "503");
  const auto left = span_of(entry(http::client_left, {}), trace.began, false);
  CHECK(left.has_failed);
  CHECK(text_of(left, "http.response.status_code") == "none");
}

// The trace of every request is `sampled`, whatever it says.
http::server_options with_trace() {
  http::server_options options;
  options.trace = [](const request&) {
    return http::request_trace{.own = *runtime::parse_traceparent(sampled)};
  };
  return options;
}

constexpr const char* id_line = "X-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n";
constexpr const char* get_x = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST_CASE("an answer says which trace its request is part of, and so does a problem") {
  http::running on{[](request& received, http::reply answer) {
                     CHECK(to_traceparent(received.trace.own) == sampled);
                     answer.fail({runtime::errc::not_found, "no x"}, received.target());
                   },
                   with_trace()};
  http::wire client{on.port};
  client.send(get_x);
  const auto answer = client.read_answer();
  CHECK(http::has(answer, id_line));
  const auto document = nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  CHECK(document["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(document["detail"] == "no x");
}

TEST_CASE("the answer of a stream says it, too") {
  http::running on{[](request&, http::reply answer) {
                     auto out = answer.open(200, {});
                     out.write("x");
                   },
                   with_trace()};
  http::wire client{on.port};
  client.send(get_x);
  CHECK(http::has(client.read_answer(), id_line));
}

TEST_CASE("a server that is told of no traces speaks of none") {
  http::running on{[](request& received, http::reply answer) {
    CHECK_FALSE(received.trace.own);
    answer.fail({runtime::errc::not_found, "no x"});
  }};
  http::wire client{on.port};
  client.send(get_x);
  const auto answer = client.read_answer();
  CHECK_FALSE(http::has(answer, "X-Request-Id"));
  CHECK_FALSE(http::has(answer, "trace_id"));
}

}  // namespace
}  // namespace millrace::gateway
