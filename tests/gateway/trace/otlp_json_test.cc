// SPDX-License-Identifier: MIT
// Spans as collectors take them: the JSON form of OTLP, field by field.
#include "trace/otlp_json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace millrace::gateway {
namespace {

using nlohmann::json;
using runtime::span;
using runtime::span_id;
using runtime::wall_time;

wall_time at(std::int64_t nanoseconds) {
  return wall_time{runtime::duration{nanoseconds}};
}

span whole_span() {
  return {.own = {{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736}, span_id{0xf067aa0ba902b7}, true},
          .parent = span_id{0xabc},
          .name = "GET /api/v1/runs/{id}",
          .kind = runtime::span_kind::server,
          .start = at(1'700'000'000'123'456'789),
          .end = at(1'700'000'001'000'000'000),
          .attributes = {{"http.request.method", "GET"},
                         {"http.response.status_code", std::int64_t{500}}},
          .events = {{"started", at(1'700'000'000'200'000'000)}},
          .has_failed = true,
          .failure = "disk full"};
}

TEST_CASE("a span is told as OTLP has it") {
  const std::vector spans{whole_span()};
  const auto made = json::parse(otlp_json({.instance = "a", .version = "1.2"}, spans));
  CHECK(made == json::parse(R"({"resourceSpans": [{
    "resource": {"attributes": [
      {"key": "service.name", "value": {"stringValue": "millrace"}},
      {"key": "service.instance.id", "value": {"stringValue": "a"}},
      {"key": "service.version", "value": {"stringValue": "1.2"}}]},
    "scopeSpans": [{
      "scope": {"name": "millrace", "version": "1.2"},
      "spans": [{
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "spanId": "00f067aa0ba902b7",
        "parentSpanId": "0000000000000abc",
        "name": "GET /api/v1/runs/{id}",
        "kind": 2,
        "startTimeUnixNano": "1700000000123456789",
        "endTimeUnixNano": "1700000001000000000",
        "attributes": [
          {"key": "http.request.method", "value": {"stringValue": "GET"}},
          {"key": "http.response.status_code", "value": {"intValue": "500"}}],
        "events": [{"timeUnixNano": "1700000000200000000", "name": "started"}],
        "status": {"code": 2, "message": "disk full"}}]}]}]})"));
}

TEST_CASE("what a span does not have is left out") {
  auto one = whole_span();
  one.parent = span_id::none;
  one.events.clear();
  one.has_failed = false;
  const std::vector spans{one};
  const auto made = json::parse(otlp_json({}, spans))["resourceSpans"][0]["scopeSpans"][0]["spans"];
  REQUIRE(made.size() == 1);
  CHECK_FALSE(made[0].contains("parentSpanId"));
  CHECK_FALSE(made[0].contains("events"));
  CHECK_FALSE(made[0].contains("status"));
}

TEST_CASE("a text that is no UTF-8 spoils nothing") {
  auto one = whole_span();
  one.failure = "bytes \xff\xfe here";
  one.attributes = {{"millrace.actor.key", std::string{"\xc3"}}};
  const std::vector spans{one};
  CHECK(json::accept(otlp_json({}, spans)));
}

TEST_CASE("what a collector has not taken is read from its answer") {
  CHECK(rejected_spans(R"({"partialSuccess": {"rejectedSpans": "3", "errorMessage": "old"}})") ==
        3);
  CHECK(rejected_spans(R"({"partialSuccess": {"rejectedSpans": 2}})") == 2);
  for (const auto* none :
       {"", "{}", "[]", "no JSON", R"({"partialSuccess": {}})", R"({"partialSuccess": null})",
        R"({"partialSuccess": []})", R"({"partialSuccess": {"rejectedSpans": "x"}})",
        R"({"partialSuccess": {"rejectedSpans": -1}})"}) {
    CAPTURE(none);
    CHECK(rejected_spans(none) == 0);
  }
}

}  // namespace
}  // namespace millrace::gateway
