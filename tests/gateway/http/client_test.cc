// SPDX-License-Identifier: MIT
#include "http/client.h"

#include <doctest/doctest.h>

#include <thread>

#include "http/problem.h"
#include "wire.h"

namespace millrace::gateway::http {
namespace {

using namespace std::chrono_literals;
using runtime::errc;

client to(const running& on) {
  client_options options;
  options.base = {.host = "127.0.0.1", .port = on.port, .prefix = "/p"};
  options.headers.add("Authorization", "Bearer t");
  options.timeout = 10s;
  return client{options, on.clock};
}

}  // namespace

TEST_CASE("addresses are understood or refused with the reason") {
  const auto full = parse_url("http://[::1]:8080/a/b/");
  REQUIRE(full);
  CHECK(full->host == "::1");
  CHECK(full->port == 8080);
  CHECK(full->prefix == "/a/b");
  CHECK(full->authority() == "[::1]:8080");
  CHECK(parse_url("http://localhost")->port == 80);
  for (const auto* bad :
       {"", "localhost:80", "https://h", "http://", "http://:1", "http://h:0", "http://h:99999",
        "http://h:x", "http://u@h", "http://[::1", "http://h?q", "http://[::1]x"}) {
    CAPTURE(bad);
    const auto parsed = parse_url(bad);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code() == errc::invalid_argument);
  }
}

TEST_CASE("a request carries its parts and an answer brings its own") {
  running on{[](request& asked, reply answer) {
    auto made = json(201, asked.body);
    made.headers.add("X-Seen", std::string{asked.headers.find("authorization").value_or("none")} +
                                   " " + std::string{asked.path()});
    answer.send(std::move(made));
  }};
  const auto answer = to(on).send(method::put, "/x", R"({"a":1})");
  REQUIRE(answer);
  CHECK(answer->status == 201);
  CHECK(answer->body == R"({"a":1})");
  CHECK(answer->headers.find("x-seen") == "Bearer t /p/x");
  CHECK(to(on).send(method::head, "/x")->body.empty());
}

TEST_CASE("a refusal is an answer that turns into its error") {
  running on{[](request& asked, reply answer) {
    answer.fail({errc::conflict, "version 3 is newer"}, asked.target());
  }};
  const auto answer = to(on).send(method::del, "/x");
  REQUIRE(answer);
  const auto failure = error_of_response(answer->status, answer->headers, answer->body);
  CHECK(failure.code() == errc::conflict);
  CHECK(failure.text() == "version 3 is newer");
}

TEST_CASE("a refused connection is unavailable and names the address") {
  std::uint16_t port = 0;
  {
    running on{echo};
    port = on.port;
  }
  runtime::system_clock clock;
  client_options options;
  options.base = {.host = "127.0.0.1", .port = port, .prefix = ""};
  const auto answer = client{options, clock}.send(method::get, "/");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == errc::unavailable);
  CHECK(has(answer.error().text(), "127.0.0.1:" + std::to_string(port)));
}

TEST_CASE("an answer that does not come, or breaks off, says what may have happened") {
  slot<reply> held;
  running on{[&](request&, reply answer) { held.put(std::move(answer)); }};
  client_options options;
  options.base = {.host = "127.0.0.1", .port = on.port, .prefix = ""};
  options.timeout = 50ms;
  client impatient{options, on.clock};
  CHECK(impatient.send(method::get, "/").error().code() == errc::deadline_exceeded);
  CHECK(held.take());
  std::thread cutting{[&] {
    const auto open = held.take();
    on.served.stop(0ms);
  }};
  CHECK(to(on).send(method::post, "/").error().code() == errc::outcome_unknown);
  cutting.join();
}

TEST_CASE("events and lines arrive as they are written, until the callback has enough") {
  slot<int> gone;
  running on{[&](request& asked, reply answer) {
    if (asked.segment(1) == "events") {
      CHECK(asked.headers.find("last-event-id") == "4");
      auto out = event_stream::open(std::move(answer));
      out.event("5", "state", "one");
      out.event("6", "state", "two");
      out.event("7", "state", "three");
      // Left open: only the client can end it.
      auto kept = std::make_shared<event_stream>(std::move(out));
      kept->raw().on_closed([&gone, kept] { gone.put(1); });
    } else {
      auto out = answer.open(200, {});
      out.write("a\nb\r\nc");
    }
  }};
  std::string seen;
  auto caller = to(on);
  CHECK(caller.events("/events", "4", [&](const received_event& event) {
    seen += event.id + event.data;
    return event.id == "6" ? flow::stop : flow::more;
  }));
  CHECK(seen == "5one6two");
  CHECK(gone.take() == 1);
  seen.clear();
  CHECK(caller.lines("/lines", {}, [&](std::string_view line) {
    seen += std::string{line} + ";";
    return flow::more;
  }));
  CHECK(seen == "a;b;c;");
}

}  // namespace millrace::gateway::http
