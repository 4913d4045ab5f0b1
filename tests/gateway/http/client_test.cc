// SPDX-License-Identifier: MIT
#include "http/client.h"

#include <doctest/doctest.h>

#include <poll.h>

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
  CHECK(full->origin() == "http://[::1]:8080");
  CHECK(parse_url("http://localhost")->port == 80);
  const auto secure = parse_url("https://h.example/a");
  REQUIRE(secure);
  CHECK(secure->is_tls);
  CHECK(secure->port == 443);
  CHECK(secure->origin() == "https://h.example:443");
  for (const auto* bad : {"", "localhost:80", "ftp://h", "https://", "https://h:0", "http://",
                          "http://:1", "http://h:0", "http://h:99999", "http://h:x", "http://u@h",
                          "http://[::1", "http://h?q", "http://[::1]x"}) {
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
  options.timeout = 500ms;
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

// A server that takes a request and sends `head` at once and `text`, `drop` bytes every few
// milliseconds, for ever or to its end; then nothing.
class dripping {
public:
  explicit dripping(std::string text, std::string head = {}, std::size_t drop = 1)
      : head_(std::move(head)), text_(std::move(text)), drop_(drop) {
    listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof where;
    REQUIRE(::bind(listening_, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(listening_, 8) == 0);
    REQUIRE(::getsockname(listening_, reinterpret_cast<sockaddr*>(&where), &size) == 0);
    port = ntohs(where.sin_port);
    thread_ = std::thread{[this] { serve(); }};
  }
  dripping(const dripping&) = delete;
  dripping& operator=(const dripping&) = delete;
  ~dripping() {
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
  }
  std::uint16_t port = 0;

private:
  void serve() {
    for (int client = 0; (client = ::accept(listening_, nullptr, nullptr)) >= 0;) {
      ::send(client, head_.data(), head_.size(), MSG_NOSIGNAL);
      std::string_view left{text_};
      pollfd gone{client, POLLRDHUP, 0};
      while (::poll(&gone, 1, 3) == 0) {
        const auto sent = ::send(client, left.data(), std::min(left.size(), drop_), MSG_NOSIGNAL);
        left.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
      }
      ::close(client);
    }
  }
  const std::string head_;
  const std::string text_;
  const std::size_t drop_;
  int listening_ = -1;
  std::thread thread_;
};

// Goal: nothing that a server does, or leaves undone, holds a command for longer than its limit.
TEST_CASE("a server that is silent or drips is given up in time") {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
  for (const auto& text : {std::string{}, "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x'),
                           head + std::string(100'000, 'x'), std::string(100'000, '1')}) {
    dripping server{text};
    runtime::system_clock clock;
    client_options options;
    options.base = {.host = "127.0.0.1", .port = server.port, .prefix = ""};
    options.timeout = 150ms;
    options.quiet_timeout = 10s;
    client impatient{options, clock};
    const auto answer = impatient.send(method::get, "/");
    REQUIRE_FALSE(answer);
    if (!text.starts_with('1')) {  // what is no HTTP may be seen before
      CHECK(answer.error().code() == errc::deadline_exceeded);
    }
    options.timeout = 10s;
    const auto streamed = client{options, clock}.stream(
        method::get, "/", {}, {}, [](std::string_view) { return flow::stop; },
        clock.steady() + (text.starts_with(head) ? 10s : 150ms));
    CHECK(streamed.has_value() == text.starts_with(head));  // a stream's head is all that is due
  }
  CHECK(client_options{}.timeout == 10s);
}

TEST_CASE("a stream that goes quiet is given up") {
  dripping server{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"};
  runtime::system_clock clock;
  client_options options;
  options.base = {.host = "127.0.0.1", .port = server.port, .prefix = ""};
  options.quiet_timeout = 2s;
  std::string seen;
  const auto answer =
      client{options, clock}.stream(method::get, "/", {}, {}, [&](std::string_view piece) {
        seen += piece;
        return flow::more;
      });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == errc::deadline_exceeded);
  CHECK(seen == "x");
}

// Method: a server that says nothing after the head, one that drips, and one that brings more than
// is asked for, over several windows.
TEST_CASE("a download that does not get on is given up, one that does is not") {
  runtime::system_clock clock;
  client_options options;
  options.timeout = 100ms;
  std::size_t came = 0;
  const auto download = [&](std::string text, std::size_t drop) {
    const dripping server{std::move(text), "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n",
                          drop};
    options.base = {.host = "127.0.0.1", .port = server.port, .prefix = ""};
    came = 0;
    return client{options, clock}.download("/", [&came](std::string_view piece) {
      came += piece.size();
      return flow::more;
    });
  };
  for (const auto& text : {std::string{}, std::string(200'000, 'x')}) {
    const auto answer = download(text, 1);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == errc::deadline_exceeded);
    CHECK(came < 200'000);
  }
  const auto began = clock.steady();
  CHECK(download(std::string(200'000, 'x'), 1000));
  CHECK(clock.steady() - began > 3 * options.timeout);
  CHECK(came == 200'000);
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
  CHECK(caller.lines(method::get, "/lines", {}, {}, [&](std::string_view line) {
    seen += std::string{line} + ";";
    return flow::more;
  }));
  CHECK(seen == "a;b;c;");
}

}  // namespace millrace::gateway::http
