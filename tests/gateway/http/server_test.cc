// SPDX-License-Identifier: MIT
#include "http/server.h"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "access/principal.h"
#include "http/sse.h"
#include "wire.h"

namespace millrace::gateway::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view get_x = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";

constexpr std::uint32_t elsewhere = 0x7f000002;  // 127.0.0.2
constexpr std::string_view get_probe = "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view get_known = "GET /x HTTP/1.1\r\nHost: h\r\nX-Known: yes\r\n\r\n";

// Of a server that knows who asks by a field, and has probes.
server_options knowing(std::size_t connections) {
  server_options options;
  options.connections_max = connections;
  options.asks_who = true;
  options.is_probe = [](const request& asked) { return asked.path() == "/livez"; };
  return options;
}

void echo_known(request& asked, reply answer) {
  if (asked.headers.find("X-Known")) {
    asked.by = std::make_shared<principal>();
  }
  echo(asked, std::move(answer));
}

// For what the server counts a moment later.
void until(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::yield();
  }
}

bool still_serves(std::uint16_t port) {
  wire client{port};
  client.send(get_x);
  return client.read_answer().starts_with("HTTP/1.1 200 OK\r\n");
}

}  // namespace

TEST_CASE("a connection serves request after request") {
  running on{echo};
  wire client{on.port};
  for (int i = 0; i < 3; ++i) {
    client.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    const auto answer = client.read_answer();
    CHECK(answer.starts_with("HTTP/1.1 200 OK\r\nDate: "));
    CHECK(answer.ends_with("\r\n\r\nPOST /a abc"));
  }
  CHECK(on.served.probe().connections_total == 1);
  CHECK(on.served.probe().requests_total == 3);
}

TEST_CASE("pipelined requests are answered in their order, also when the answers come late") {
  slot<reply> first;
  running on{[&](request& asked, reply answer) {
    if (asked.path() == "/late") {
      first.put(std::move(answer));
    } else {
      echo(asked, std::move(answer));
    }
  }};
  wire client{on.port};
  client.send(
      "GET /late HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\n"
      "Transfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n1;ext=1\r\nz\r\n0\r\nTrailer: t\r\n\r\n"
      "GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  first.take().send(text(200, "late"));
  const auto all = client.read_all();
  const auto late = all.find("\r\n\r\nlate");
  const auto second = all.find("POST /b xyz");
  const auto third = all.find("GET /c ");
  CHECK(late < second);
  CHECK(second < third);
  CHECK(third != std::string::npos);
}

TEST_CASE("a request may arrive byte by byte") {
  running on{echo};
  wire client{on.port};
  for (const char c : std::string{"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"}) {
    REQUIRE(client.send({&c, 1}));
  }
  CHECK(client.read_answer().ends_with("PUT /a ok"));
}

// Goal: who is not known cannot make the server take in a body.
// Method: the handler answers before a byte of the body has come, or with the first ones; what
// comes behind looks like requests, and is none.
TEST_CASE("a body that is not worth reading is not waited for, and the connection ends") {
  server_options options;
  options.refuse_body = [](const request& asked) {
    return asked.headers.find("X-Known") ? std::nullopt : std::optional{text(401, "who?")};
  };
  running on{echo, options};
  for (const std::string how : {"Content-Length: 8000000", "Transfer-Encoding: chunked",
                                "Expect: 100-continue\r\nContent-Length: 3"}) {
    CAPTURE(how);
    for (const std::string begun : {"", "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"}) {
      if (!begun.empty() && how != "Content-Length: 8000000") {
        continue;
      }
      wire stranger{on.port};
      stranger.send("POST /a HTTP/1.1\r\nHost: h\r\n" + how + "\r\n\r\n" + begun);
      const auto answer = stranger.read_answer();
      CHECK(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"));
      CHECK(has(answer, "Connection: close\r\n"));
      CHECK(answer.ends_with("\r\n\r\nwho?"));
      stranger.send(get_x);
      stranger.finish_sending();
      CHECK(stranger.read_all().empty());
    }
  }
  const auto asked = on.served.probe().requests_total;
  CHECK(asked == 4);
  wire known{on.port};
  known.send("POST /a HTTP/1.1\r\nHost: h\r\nX-Known: yes\r\nContent-Length: 3\r\n\r\n");
  known.send("abc");
  CHECK(known.read_answer().ends_with("\r\n\r\nPOST /a abc"));
  known.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(known.read_answer().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("HEAD gets the length and no body") {
  running on{echo};
  wire client{on.port};
  client.send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
  client.send("GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const auto all = client.read_all();
  CHECK(has(all, "Content-Length: 8\r\n\r\nHTTP/1.1 200 OK"));
}

TEST_CASE("HTTP/1.0 closes unless it asks to stay") {
  running on{echo};
  wire leaves{on.port};
  leaves.send("GET /a HTTP/1.0\r\n\r\n");
  CHECK(has(leaves.read_all(), "Connection: close\r\n"));
  wire stays{on.port};
  stays.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(has(stays.read_answer(), "Connection: keep-alive\r\n"));
  stays.send("GET /b HTTP/1.0\r\n\r\n");
  CHECK(has(stays.read_all(), "GET /b"));
}

TEST_CASE("a waiting client is told to continue") {
  running on{echo};
  wire client{on.port};
  client.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  CHECK(client.read_answer().ends_with("POST /a ok"));
}

TEST_CASE("a client that waits to send too much is refused before it sends") {
  server_options options;
  options.body_bytes_max = 10;
  running on{echo, options};
  wire client{on.port};
  client.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_answer().starts_with("HTTP/1.1 413 "));
}

TEST_CASE("what is malformed, ambiguous or over a limit is refused and the connection closed") {
  server_options options;
  options.body_bytes_max = 100;
  options.header_bytes_max = 1024;
  running on{echo, options};
  const std::string host = "Host: h\r\n";
  const std::string post = "POST /x HTTP/1.1\r\n" + host;
  const std::pair<std::string, int> rows[] = {
      {"\r\n\r\n\r\nnonsense\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"GET /x\r\n\r\n", 400},
      {"GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /x HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"GET /x HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
      {"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /../etc HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"BREW /x HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"GET /x HTTP/1.1\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost : h\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: h\r\nX: a\x01z\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400},
      {"GET /x HTTP/1.1\nHost: h\n\n", 400},
      {post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
      {post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400},
      {post + "Content-Length: +3\r\n\r\nabc", 400},
      {post + "Content-Length: -1\r\n\r\n", 400},
      {post + "Content-Length: 0x3\r\n\r\nabc", 400},
      {post + "Content-Length: 99999999999999999999999\r\n\r\n", 400},
      {post + "Content-Length: 101\r\n\r\n", 413},
      {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nffff\r\n", 413},
      {post + "Expect: miracles\r\n\r\n", 417},
      {post + "X: " + std::string(2000, 'x') + "\r\n\r\n", 431},
      {"GET /" + std::string(3000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
      {post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(20'000, 'e'), 431},
  };
  for (const auto& [bytes, status] : rows) {
    CAPTURE(bytes);
    wire client{on.port};
    client.send(bytes);
    const auto answer = client.read_all();
    CHECK(answer.starts_with("HTTP/1.1 " + std::to_string(status) + " "));
    CHECK(has(answer, "Connection: close\r\n"));
    CHECK(has(answer, "application/problem+json"));
  }
  CHECK(on.served.probe().requests_total == 0);
  CHECK(still_serves(on.port));
}

TEST_CASE("nothing after a refused request is taken for a request") {
  running on{echo};
  wire client{on.port};
  client.send(
      "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
      "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto all = client.read_all();
  CHECK(has(all, "400 Bad Request"));
  CHECK_FALSE(has(all, "smuggled"));
}

TEST_CASE("a slow header or body is cut off, a quiet connection closed") {
  server_options options;
  options.header_timeout = 500ms;
  options.body_timeout = 500ms;
  options.idle_timeout = 2s;
  running on{echo, options};
  wire header{on.port};
  header.send("GET /x HTTP/1.1\r\nHo");
  CHECK(header.read_all().starts_with("HTTP/1.1 408 "));
  wire body{on.port};
  body.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
  CHECK(body.read_all().starts_with("HTTP/1.1 408 "));
  wire idle{on.port};
  CHECK(idle.read_all().empty());
}

// Goal: what is held for a stranger's request goes with its answer, though its connection stays.
TEST_CASE("a stranger has less time for a body, and what is held for it goes with the answer") {
  const auto held = std::make_shared<std::atomic<int>>(0);
  server_options options;
  options.stranger_body_timeout = 1s;
  options.refuse_body = [held](request& received) {
    ++*held;
    received.stranger = {held.get(), [held](void*) { --*held; }};
    return std::optional<response>{};
  };
  running on{echo, options};
  wire slow{on.port};
  slow.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
  CHECK(slow.read_all().starts_with("HTTP/1.1 408 "));
  CHECK(*held == 0);
  wire good{on.port};
  good.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  CHECK(good.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(*held == 1);
  good.send("ab");
  CHECK(good.read_answer().starts_with("HTTP/1.1 200 "));
  CHECK(*held == 0);
}

TEST_CASE("a reply may come from another thread, and a dropped one is a 500") {
  slot<reply> held;
  running on{[&](request&, reply answer) { held.put(std::move(answer)); }};
  wire client{on.port};
  client.send(get_x);
  std::thread{[&] { held.take().send(json(201, "{}")); }}.join();
  CHECK(client.read_answer().starts_with("HTTP/1.1 201 Created\r\n"));
  client.send(get_x);
  std::thread{[&] { const auto dropped = held.take(); }}.join();
  CHECK(client.read_answer().starts_with("HTTP/1.1 500 "));
}

TEST_CASE("a handler that throws answers 500 and the server goes on") {
  running on{[](request& asked, reply answer) {
    if (asked.path() == "/throw") {
      throw std::runtime_error{"planted"};
    }
    echo(asked, std::move(answer));
  }};
  wire client{on.port};
  client.send("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.read_answer().starts_with("HTTP/1.1 500 "));
  CHECK(still_serves(on.port));
}

TEST_CASE("a reply outlives its client and its server") {
  slot<reply> held;
  reply late;
  {
    running on{[&](request&, reply answer) { held.put(std::move(answer)); }};
    wire client{on.port};
    client.send(get_x);
    late = held.take();
    client.leave();
    on.served.stop(0ms);
  }
  late.send(text(200, "nobody"));
}

TEST_CASE("line ends in a header value cannot make a header") {
  running on{[](request&, reply answer) {
    auto made = empty();
    made.headers.add("Location", "/a\r\nSet-Cookie: x=1");
    answer.send(std::move(made));
  }};
  wire client{on.port};
  client.send(get_x);
  CHECK(has(client.read_until("\r\n\r\n"), "Location: /a  Set-Cookie: x=1\r\n"));
}

TEST_CASE("a stream arrives in chunks and the connection stays usable") {
  slot<stream> opened;
  running on{[&](request& asked, reply answer) {
    if (asked.path() == "/s") {
      opened.put(answer.open(200, {{"Content-Type", "text/plain"}}));
    } else {
      echo(asked, std::move(answer));
    }
  }};
  wire client{on.port};
  client.send("GET /s HTTP/1.1\r\nHost: h\r\n\r\n");
  auto out = opened.take();
  CHECK(has(client.read_until("\r\n\r\n"), "Transfer-Encoding: chunked\r\n"));
  CHECK(out.write("hello") == write_status::ok);
  CHECK(client.read_until("hello\r\n") == "5\r\nhello\r\n");
  client.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  out.write("bye");
  out.close();
  CHECK(out.write("more") == write_status::closed);
  CHECK(client.read_until("0\r\n\r\n") == "3\r\nbye\r\n0\r\n\r\n");
  CHECK(client.read_answer().ends_with("GET /next "));
}

TEST_CASE("a stream of a known length comes without chunks, and one that is shorter ends all") {
  slot<stream> opened;
  running on{[&](request& asked, reply answer) {
    if (asked.path() == "/s") {
      opened.put(answer.open(200, {{"Content-Length", "5"}}));
    } else {
      echo(asked, std::move(answer));
    }
  }};
  wire client{on.port};
  client.send("GET /s HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  auto out = opened.take();
  CHECK_FALSE(has(client.read_until("\r\n\r\n"), "Transfer-Encoding"));
  out.write("he");
  out.write("llo");
  out.close();
  CHECK(client.read_until("llo") == "hello");
  CHECK(client.read_answer().ends_with("GET /next "));
  client.send("GET /s HTTP/1.1\r\nHost: h\r\n\r\n");
  auto shorter = opened.take();
  shorter.write("he");
  shorter.close();
  CHECK(client.read_all().ends_with("\r\n\r\nhe"));
}

TEST_CASE("a stream opened on another thread works the same") {
  slot<reply> held;
  running on{[&](request&, reply answer) { held.put(std::move(answer)); }};
  wire client{on.port};
  client.send(get_x);
  auto out = held.take().open(200, {});
  out.write("a");
  out.close();
  CHECK(has(client.read_until("0\r\n\r\n"), "\r\n1\r\na\r\n0\r\n\r\n"));
}

TEST_CASE("the writer learns that its client has left") {
  slot<stream> opened;
  slot<int> gone;
  running on{[&](request&, reply answer) { opened.put(answer.open(200, {})); }};
  wire client{on.port};
  client.send(get_x);
  auto out = opened.take();
  out.on_closed([&] { gone.put(1); });
  client.leave();
  CHECK(gone.take() == 1);
  CHECK(out.write("x") == write_status::closed);
  out.on_closed([&] { gone.put(2); });
  CHECK(gone.take() == 2);
}

TEST_CASE("a handler learns that its client has left before the answer") {
  slot<reply> held;
  slot<int> gone;
  slot<int> told;
  running on{[&](request&, reply answer) {
               answer.on_gone([&] { gone.put(1); });
               held.put(std::move(answer));
             },
             {},
             [&](const access_entry& each) { told.put(each.status); }};
  wire client{on.port};
  client.send(get_x);
  auto answer = held.take();
  client.leave();
  CHECK(gone.take() == 1);
  CHECK(told.take() == client_left);
  answer.send(text(200, "for nobody"));
  CHECK(on.served.probe().connections_open == 0);
}

TEST_CASE("a handler does not hear of a client that leaves after the answer") {
  slot<int> told;
  running on{[&](request&, reply answer) {
    answer.on_gone(
        [&, last = std::shared_ptr<void>{nullptr, [&](void*) { told.put(2); }}] { told.put(1); });
    answer.send(text(200, "x"));
  }};
  wire client{on.port};
  client.send(get_x);
  client.read_answer();
  client.leave();
  CHECK(told.take() == 2);  // it was dropped, not called
}

// Method: the client reads nothing, so what is written fills the sockets and then the queue.
TEST_CASE("a client that does not read first reports full and is then cut off") {
  server_options options;
  options.stream_bytes_max = 64 << 10;
  slot<stream> opened;
  slot<int> gone;
  running on{[&](request&, reply answer) { opened.put(answer.open(200, {})); }, options};
  wire client{on.port};
  client.send(get_x);
  auto out = opened.take();
  out.on_closed([&] { gone.put(1); });
  const std::string piece(16 << 10, 'x');
  bool full = false;
  for (int i = 0; i < 100'000; ++i) {
    const auto status = out.write(piece);
    full = full || status == write_status::full;
    if (status == write_status::closed) {
      break;
    }
  }
  CHECK(full);
  CHECK(out.write("x") == write_status::closed);
  CHECK(gone.take() == 1);
}

TEST_CASE("a writer that waits when told so gets everything through") {
  server_options options;
  options.stream_bytes_max = 64 << 10;
  slot<stream> opened;
  slot<int> drained;
  running on{[&](request&, reply answer) { opened.put(answer.open(200, {})); }, options};
  wire client{on.port};
  client.send("GET /x HTTP/1.0\r\n\r\n");
  auto out = opened.take();
  out.on_drained([&] { drained.put(1); });
  std::thread writer{[&] {
    const std::string piece(16 << 10, 'x');
    for (int i = 0; i < 640; ++i) {
      const auto status = out.write(piece);
      if (status == write_status::full) {
        drained.take();
      } else if (status == write_status::closed) {
        return;
      }
    }
    out.close();
  }};
  const auto all = client.read_all();
  writer.join();
  CHECK(all.size() - (all.find("\r\n\r\n") + 4) == std::size_t{640} * (16 << 10));
}

TEST_CASE("a stream ends when its client is nobody any more, and does not look whole") {
  std::atomic<bool> is_somebody{true};
  slot<stream> opened;
  slot<int> told;
  server_options options;
  options.idle_timeout = 800ms;  // sweeps every 100 ms
  options.is_valid = [&](const principal& who) { return is_somebody || who.name == "other"; };
  running on{[&](request& asked, reply answer) {
               asked.by = std::make_shared<principal>(
                   principal{.name = asked.path() == "/other" ? "other" : "one", .grants = {}});
               opened.put(answer.open(200, {}));
             },
             options};
  wire one{on.port};
  one.send(get_x);
  auto first = opened.take();
  first.on_closed([&] { told.put(1); });
  wire other{on.port};
  other.send("GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
  auto second = opened.take();
  first.write("seen");
  CHECK(has(one.read_until("seen\r\n"), "seen"));
  is_somebody = false;
  CHECK(one.read_all().empty());
  CHECK(told.take() == 1);
  CHECK(first.write("not seen") == write_status::closed);
  second.write("goes on");
  second.close();
  CHECK(has(other.read_until("0\r\n\r\n"), "goes on"));
}

// Goal: bodies take so much memory and no more, and give it back.
TEST_CASE("all bodies together have a bound, and what does not fit is not read") {
  constexpr std::size_t piece = std::size_t{128} << 10;
  slot<reply> held;
  server_options options;
  options.bodies_bytes_max = 3 * piece;
  running on{[&](request& asked, reply answer) {
               if (asked.path() == "/held") {
                 held.put(std::move(answer));
               } else {
                 echo(asked, std::move(answer));
               }
             },
             options};
  const auto head = [](std::string_view path, std::size_t size, std::string_view more = {}) {
    return "PUT " + std::string{path} +
           " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n" +
           std::string{more} + "\r\n";
  };
  const auto refused = [](std::string_view answer) {
    return answer.starts_with("HTTP/1.1 503 ") && has(answer, "Retry-After: 1\r\n") &&
           has(answer, "Connection: close\r\n");
  };
  wire first{on.port, 0x7f000003};
  first.send(head("/held", piece) + std::string(piece, 'x'));
  auto answer = held.take();
  CHECK(on.served.probe().bodies_bytes >= piece);
  wire second{on.port, 0x7f000004};
  second.send(head("/b", piece, "Expect: 100-continue\r\n"));
  CHECK(has(second.read_until("\r\n\r\n"), "100 Continue"));
  second.send(std::string(piece - 1, 'x'));
  until([&] { return on.served.probe().bodies_bytes >= 2 * piece; });
  wire third{on.port, 0x7f000005};
  third.send(head("/c", 2 * piece, "Expect: 100-continue\r\n"));
  CHECK(refused(third.read_all()));
  wire fourth{on.port, 0x7f000006};  // does not say how much it will be
  fourth.send("PUT /d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  fourth.send("40000\r\n" + std::string(piece, 'x'));
  fourth.send(std::string(piece, 'x'));
  CHECK(refused(fourth.read_answer()));
  wire small{on.port};
  small.send(head("/e", 4'000) + std::string(4'000, 'x'));
  CHECK(has(small.read_answer(), "200 OK"));

  second.send("x");
  CHECK(has(second.read_answer(), "200 OK"));
  answer.send(text(200, "late"));
  CHECK(has(first.read_answer(), "late"));
  wire left{on.port};
  left.send(head("/f", piece) + std::string(piece / 2, 'x'));
  left.leave();
  until([&] { return on.served.probe().bodies_bytes == 0; });
  CHECK(still_serves(on.port));
}

// Goal: whoever sends large bodies, with a token or without, keeps nobody else from it.
TEST_CASE("of the memory for bodies each who sends has a share, and strangers one together") {
  constexpr std::size_t piece = std::size_t{128} << 10;
  slot<reply> held;
  server_options options;
  options.bodies_bytes_max = 8 * piece;
  options.refuse_body = [](request& asked) {
    const auto by = asked.headers.find("X-By");
    if (by == "stranger") {
      asked.stranger = std::make_shared<int>();
    } else if (by) {
      asked.by = std::make_shared<principal>(principal{.name = std::string{*by}, .grants = {}});
    }
    return std::optional<response>{};
  };
  running on{[&](request&, reply answer) { held.put(std::move(answer)); }, options};
  std::vector<std::unique_ptr<wire>> all;
  std::vector<reply> due;
  const auto takes = [&](const std::string& more, std::uint32_t from, std::size_t pieces = 1) {
    const auto size = pieces * piece;
    auto& one = *all.emplace_back(std::make_unique<wire>(on.port, from));
    one.send("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n" + more +
             "Content-Length: " + std::to_string(size) + "\r\n\r\n");
    const auto answer = one.read_until("\r\n\r\n");
    if (!answer.starts_with("HTTP/1.1 100 ")) {
      CHECK(answer.starts_with("HTTP/1.1 503 "));
      return false;
    }
    one.send(std::string(size, 'x'));
    due.push_back(held.take());
    return true;
  };
  const std::string stranger = "X-By: stranger\r\n";
  const auto from = [](std::uint32_t last) { return 0x7f000000 + last; };
  for (const std::string who : {"", "X-By: a\r\n"}) {
    CAPTURE(who);
    CHECK(takes(who, from(2)));
    CHECK(takes(who, from(2)));
    CHECK_FALSE(takes(who, from(2)));
  }
  CHECK(takes(stranger, from(3)));
  CHECK(takes(stranger, from(4)));
  CHECK_FALSE(takes(stranger, from(5)));
  CHECK(takes("", from(3)));
  CHECK(takes("X-By: b\r\n", from(2)));
  CHECK_FALSE(takes("X-By: c\r\n", from(2)));  // all together
  CHECK(on.served.probe().bodies_refused_total == 4);
  for (auto& each : due) {
    each.send(text(200, ""));
  }
  until([&] { return on.served.probe().bodies_bytes == 0; });
  CHECK(takes("X-By: a\r\n", from(2), 3));  // one may be more than a share
  due.back().send(text(200, ""));
}

TEST_CASE("events carry their headers and a quiet stream is pinged") {
  server_options options;
  options.ping_interval = 80ms;
  slot<event_stream> opened;
  running on{[&](request&, reply answer) { opened.put(event_stream::open(std::move(answer))); },
             options};
  wire client{on.port};
  client.send(get_x);
  auto out = opened.take();
  const auto head = client.read_until("\r\n\r\n");
  CHECK(has(head, "Content-Type: text/event-stream\r\n"));
  CHECK(has(head, "Cache-Control: no-cache\r\n"));
  CHECK(has(head, "X-Accel-Buffering: no\r\n"));
  out.event("1", "state", "{}");
  CHECK(has(client.read_until("{}\n\n"), "id: 1\nevent: state\ndata: {}\n\n"));
  CHECK(has(client.read_until(": ping\n\n"), ": ping\n\n"));
}

TEST_CASE("a port in use is an error that names it and the remedy") {
  running on{echo};
  runtime::system_clock clock;
  server_options options;
  options.port = on.port;
  server second{options, echo, clock};
  const auto started = second.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().code() == runtime::errc::unavailable);
  CHECK(has(started.error().text(), "127.0.0.1:" + std::to_string(on.port)));
  CHECK(has(started.error().text(), "another port"));
  options.address = "localhost";
  server named{options, echo, clock};
  CHECK(named.start().error().code() == runtime::errc::invalid_argument);
}

TEST_CASE("stopping lets an open request finish and closes the rest") {
  slot<reply> held;
  running on{[&](request&, reply answer) { held.put(std::move(answer)); }};
  wire busy{on.port};
  wire idle{on.port};
  busy.send(get_x);
  auto answer = held.take();
  std::thread stopping{[&] { on.served.stop(10s); }};
  CHECK(idle.read_all().empty());
  answer.send(text(200, "done"));
  const auto all = busy.read_all();
  stopping.join();
  CHECK(has(all, "Connection: close\r\n"));
  CHECK(all.ends_with("done"));
  CHECK_FALSE(on.served.post([] {}));
}

TEST_CASE("stopping cuts streams short, so that they do not look whole, and tells their writers") {
  slot<stream> opened;
  slot<int> gone;
  running on{[&](request&, reply answer) { opened.put(answer.open(200, {})); }};
  wire client{on.port};
  client.send(get_x);
  auto out = opened.take();
  out.on_closed([&] { gone.put(1); });
  out.write("last");
  on.served.stop(10s);
  CHECK(gone.take() == 1);
  CHECK(client.read_all().ends_with("4\r\nlast\r\n"));
}

TEST_CASE("stopping does not wait longer than its grace for a request") {
  slot<reply> held;
  running on{[&](request&, reply answer) { held.put(std::move(answer)); }};
  wire client{on.port};
  client.send(get_x);
  const auto answer = held.take();
  on.served.stop(20ms);
  CHECK(client.read_all().empty());
}

TEST_CASE("connections over the limit are refused at once") {
  server_options options;
  options.connections_max = 1;
  running on{echo, options};
  wire first{on.port};
  first.send(get_x);
  CHECK(has(first.read_answer(), "200 OK"));
  wire second{on.port};
  CHECK(second.read_all().starts_with("HTTP/1.1 503 "));
  CHECK(on.served.probe().connections_refused_total == 1);
}

// Goal: whoever takes all connections keeps nobody out who is somebody, and no probe.
// Method: a crowd of one address that says nothing, little, or what anybody may; it comes again
// and again.
TEST_CASE("over the limit of connections the crowd makes room, and who is known stays") {
  running on{echo_known, knowing(4)};
  wire known{on.port};
  known.send(get_known);
  CHECK(has(known.read_answer(), "200 OK"));
  std::vector<std::unique_ptr<wire>> crowd;
  for (const auto begun : {std::string_view{}, std::string_view{"GET /x HT"}, get_probe}) {
    crowd.push_back(std::make_unique<wire>(on.port, elsewhere));
    crowd.back()->send(begun);
  }
  CHECK(has(crowd.back()->read_answer(), "200 OK"));
  wire slow{on.port};  // in the place of the oldest of the crowd
  slow.send("GET /x HTTP/1.1\r\nHost: h\r\nX-Kno");
  CHECK(crowd.front()->read_all().empty());
  for (int i = 0; i < 20; ++i) {
    crowd.push_back(std::make_unique<wire>(on.port, elsewhere));
  }
  CHECK(crowd[20]->read_all().empty());
  wire probe{on.port};
  probe.send(get_probe);
  CHECK(has(probe.read_answer(), "200 OK"));
  slow.send("wn: yes\r\n\r\n");
  CHECK(has(slow.read_answer(), "200 OK"));
  known.send(get_known);
  CHECK(has(known.read_answer(), "200 OK"));
  CHECK(on.served.probe().connections_open == 4);
  CHECK(on.served.probe().connections_refused_total == 0);
  CHECK(on.served.probe().connections_dropped_total == 22);
}

TEST_CASE("a body that is on its way from who is known makes no room, nor does a request in hand") {
  slot<reply> held;
  auto options = knowing(2);
  options.refuse_body = [](request& asked) {
    asked.by = std::make_shared<principal>();
    return std::optional<response>{};
  };
  running on{[&](request& asked, reply answer) {
               if (asked.path() == "/late") {
                 held.put(std::move(answer));
               } else {
                 echo(asked, std::move(answer));
               }
             },
             options};
  wire late{on.port};
  late.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
  auto answer = held.take();
  wire sends{on.port};
  sends.send("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  CHECK(has(sends.read_until("\r\n\r\n"), "100 Continue"));
  std::vector<std::unique_ptr<wire>> crowd;
  for (int i = 0; i < 20; ++i) {
    crowd.push_back(std::make_unique<wire>(on.port, elsewhere));
  }
  wire probe{on.port};
  probe.send(get_probe);
  CHECK(has(probe.read_answer(), "200 OK"));
  answer.send(text(200, "late"));
  CHECK(late.read_answer().ends_with("late"));
  sends.send("ok");
  CHECK(sends.read_answer().ends_with("PUT /a ok"));
}

TEST_CASE("where all connections are somebody's, probes are answered and the rest is refused") {
  running on{echo_known, knowing(1)};
  wire known{on.port};
  known.send(get_known);
  CHECK(has(known.read_answer(), "200 OK"));
  wire other{on.port};
  other.send(get_known);
  const auto refusal = other.read_all();
  CHECK(refusal.starts_with("HTTP/1.1 503 "));
  CHECK(has(refusal, "Retry-After: 1\r\n"));
  wire sends{on.port};
  sends.send("PUT /livez HTTP/1.1\r\nHost: h\r\nX-Known: yes\r\nContent-Length: 2\r\n\r\n");
  CHECK(sends.read_all().starts_with("HTTP/1.1 503 "));
  std::vector<std::unique_ptr<wire>> crowd;
  for (std::size_t i = 0; i < 2 * connections_spare; ++i) {
    crowd.push_back(std::make_unique<wire>(on.port, elsewhere));
  }
  wire probe{on.port};
  probe.send(get_probe);
  const auto answer = probe.read_all();
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(has(answer, "Connection: close\r\n"));
  known.send(get_known);
  CHECK(has(known.read_answer(), "200 OK"));
}

TEST_CASE("a crowd in the places of probes loses its own, in each loop") {
  for (const unsigned threads : {1U, 3U}) {
    CAPTURE(threads);
    auto options = knowing(1);
    options.threads = threads;
    running on{echo_known, options};
    wire known{on.port};
    known.send(get_known);
    CHECK(has(known.read_answer(), "200 OK"));
    wire probe{on.port};
    std::vector<std::unique_ptr<wire>> crowd;
    for (std::size_t i = 0; i < 3 * connections_spare; ++i) {
      crowd.push_back(std::make_unique<wire>(on.port, elsewhere));
    }
    wire other{on.port};
    for (auto* each : {&probe, &other}) {
      each->send(get_probe);
      CHECK(each->read_all().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    CHECK(on.served.probe().connections_refused_total == 0);
  }
}

TEST_CASE("what is taken for the sake of probes has little time for its request") {
  auto options = knowing(1);
  options.header_timeout = 100ms;
  running on{echo_known, options};
  wire known{on.port};
  known.send(get_known);
  CHECK(has(known.read_answer(), "200 OK"));
  wire silent{on.port};
  CHECK(silent.read_all().empty());
  known.send(get_known);
  CHECK(has(known.read_answer(), "200 OK"));
}

TEST_CASE("of addresses with as many newcomers the one goes that has been there longest") {
  running on{echo_known, knowing(3)};
  wire first{on.port, 0x7f000009};
  wire second{on.port, 0x7f000001};
  wire third{on.port, 0x7f090909};
  wire fourth{on.port, 0x7f000005};
  fourth.send(get_known);
  CHECK(has(fourth.read_answer(), "200 OK"));
  for (auto* each : {&third, &second}) {
    each->send(get_known);
    CHECK(has(each->read_answer(), "200 OK"));
  }
  CHECK(first.read_all().empty());
}

TEST_CASE(
    "what a trusted proxy passes on comes from where it says, and nobody else's word counts") {
  server_options options;
  options.proxies = *trusted_proxies::parse("127.0.0.1");
  options.asks_who = true;
  std::mutex mutex;
  std::vector<std::string> logged;
  running here{[](request& asked, reply answer) { answer.send(text(200, "[" + asked.from + "]")); },
               options,
               [&](const access_entry& each) {
                 const std::lock_guard lock{mutex};
                 logged.emplace_back(each.from);
               }};
  const auto from = [](wire& client, const std::string& fields, const std::string& body = {}) {
    client.send("POST / HTTP/1.1\r\nHost: x\r\n" + fields +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n");
    client.send(body);
    const auto told = client.read_answer();
    return told.substr(std::min(told.rfind('['), told.size()));
  };
  wire proxy{here.port, 0x7f000001};
  CHECK(from(proxy, "X-Forwarded-For: 1.1.1.1, 198.51.100.1\r\n") == "[198.51.100.1]");
  CHECK(from(proxy, "") == "[127.0.0.1]");  // each request anew
  CHECK(from(proxy, "X-Forwarded-For: 2001:db8::1\r\n", std::string(9'000, 'b')) ==
        "[2001:db8::1]");
  CHECK(from(proxy, "X-Forwarded-For: rubbish\r\n") == "[127.0.0.1]");
  wire other{here.port, 0x7f000002};
  CHECK(from(other, "X-Forwarded-For: 198.51.100.1\r\n") == "[127.0.0.2]");
  // What could not be read is the proxy's own, not of the request before.
  CHECK(from(proxy, "X-Forwarded-For: 198.51.100.1\r\n") == "[198.51.100.1]");
  proxy.send("rubbish\r\n\r\n");
  CHECK(has(proxy.read_all(), " 400 "));
  const std::lock_guard lock{mutex};
  CHECK(logged == std::vector<std::string>{"198.51.100.1", "127.0.0.1", "2001:db8::1", "127.0.0.1",
                                           "127.0.0.2", "198.51.100.1", "127.0.0.1"});
}

TEST_CASE("several loops share the connections") {
  server_options options;
  options.threads = 3;
  running on{echo, options};
  for (int i = 0; i < 9; ++i) {
    CHECK(still_serves(on.port));
  }
  slot<int> ran;
  CHECK(on.served.post([&] { ran.put(1); }));
  CHECK(ran.take() == 1);
}

TEST_CASE("a large answer arrives whole at a reader that takes its time") {
  running on{[](request&, reply answer) { answer.send(text(200, std::string(20 << 20, 'y'))); }};
  wire client{on.port};
  client.send(
      "GET /x HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.1\r\nHost: h\r\n"
      "Connection: close\r\n\r\n");
  CHECK(client.read_all().size() > std::size_t{40} << 20);
}

// Goal: no byte sequence crashes or hangs the server. Method: random bytes, and valid requests
// with random bytes planted, cut and doubled; the seed is fixed and printed with a failure.
TEST_CASE("random bytes never harm the server") {
  server_options options;
  options.header_bytes_max = 2048;
  options.body_bytes_max = 4096;
  options.header_timeout = 100ms;
  options.body_timeout = 100ms;
  running on{echo, options};
  const std::string valid =
      "POST /a/%41?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
      "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
      "2;x=\"y\"\r\nab\r\n0\r\nT: v\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\nExpect: "
      "100-continue\r\n\r\n";
  std::mt19937 random{20'240'611};
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    std::string bytes = round % 4 == 0 ? std::string(below(600) + 1, '\0') : valid;
    if (round % 4 == 0) {
      for (auto& c : bytes) {
        c = static_cast<char>(random());
      }
    } else {
      for (auto n = below(4) + 1; n-- > 0;) {
        const auto at = below(bytes.size());
        switch (below(4)) {
          case 0:
            bytes[at] = static_cast<char>(random());
            break;
          case 1:
            bytes.erase(at, below(20) + 1);
            break;
          case 2:
            bytes.insert(at, bytes.substr(below(bytes.size()), below(60)));
            break;
          default:
            bytes.insert(at, "\r\n");
            break;
        }
        bytes += bytes.empty() ? "x" : "";
      }
    }
    wire client{on.port};
    const auto cut = below(bytes.size());
    client.send(std::string_view{bytes}.substr(0, cut));
    client.send(std::string_view{bytes}.substr(cut));
    if (round % 8 != 1) {
      client.finish_sending();
      client.read_all();
    }
  }
  CHECK(still_serves(on.port));
}

}  // namespace millrace::gateway::http
