// SPDX-License-Identifier: MIT
#include "http/problem.h"

#include <doctest/doctest.h>

#include "http/sse.h"

namespace millrace::gateway::http {

using runtime::errc;

TEST_CASE("a problem document has the members of RFC 9457 and the code") {
  const auto answer = problem_response(
      {.status = 0,
       .cause = {errc::invalid_argument, "two faults"},
       .instance = "/api/v1/validate",
       .errors = {{.pointer = "/tasks/0/run", .line = 3, .column = 7, .detail = "not a text"},
                  {.pointer = "", .line = 0, .column = 0, .detail = "whole"}}});
  CHECK(answer.status == 400);
  CHECK(answer.content_type == "application/problem+json");
  CHECK(answer.body ==
        R"({"type":"urn:millrace:problem:invalid_argument","title":"Bad Request","status":400,)"
        R"("detail":"two faults","instance":"/api/v1/validate","code":"invalid_argument",)"
        R"("errors":[{"pointer":"/tasks/0/run","line":3,"column":7,"detail":"not a text"},)"
        R"({"pointer":"","detail":"whole"}]})");
}

TEST_CASE("what is worth waiting for says how long, in whole seconds") {
  const auto hinted = problem_response({errc::overloaded, "full", std::chrono::milliseconds{1200}});
  CHECK(hinted.status == 429);
  CHECK(hinted.headers.find("Retry-After") == "2");
  CHECK(problem_response({errc::unavailable, "starting"}).headers.find("Retry-After") == "1");
  CHECK_FALSE(problem_response({errc::not_found, "no"}).headers.find("Retry-After"));
}

// Goal: no client library resends by itself what may already have had an effect.
TEST_CASE("only codes without effect map to statuses that are resent blindly") {
  for (int n = 1; n <= 20; ++n) {
    const auto code = static_cast<errc>(n);
    const int status = status_of(code);
    CAPTURE(n);
    CHECK(status >= 400);
    if (status == 429 || status == 502 || status == 503) {
      CHECK(retry_of(code) == runtime::retry_class::safe);
    }
  }
}

TEST_CASE("an error survives the way over the wire") {
  const auto answer =
      problem_response({errc::failed_precondition, "the run has ended", std::chrono::seconds{3}});
  const auto back = error_of_response(answer.status, answer.headers, answer.body);
  CHECK(back.code() == errc::failed_precondition);
  CHECK(back.text() == "the run has ended");
  CHECK(back.retry_after() == std::chrono::seconds{3});
  CHECK(error_of_response(404, {}, "<html>").code() == errc::not_found);
  CHECK(error_of_response(502, {}, "").code() == errc::internal);
}

TEST_CASE("text that is no UTF-8 does not break a problem document") {
  CHECK(problem_response({errc::not_found, "\xff\xfe"}).body.find("detail") != std::string::npos);
}

TEST_CASE("events come out of the stream as they went in, however it is cut") {
  const auto bytes = std::string{": ping\n\n"} + format_event("7", "state", "a\nb") +
                     format_event("", "", "") + format_event("8\nevent: x", "", "c\r\nd");
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    event_parser parser;
    std::string seen;
    const auto sink = [&](const received_event& event) {
      seen += event.id + "|" + event.name + "|" + event.data + ";";
      return true;
    };
    CHECK(parser.feed(std::string_view{bytes}.substr(0, cut), sink));
    CHECK(parser.feed(std::string_view{bytes}.substr(cut), sink));
    CHECK(seen == "7|state|a\nb;7|message|;8event: x|message|c\nd;");
  }
}

}  // namespace millrace::gateway::http
