// SPDX-License-Identifier: MIT
#include "http/request_reader.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

namespace millrace::gateway::http {
namespace {

using progress = request_reader::progress;

void receive(request_reader& reader, std::string_view bytes) {
  auto& in = reader.input();
  while (!bytes.empty()) {
    REQUIRE(in.make_room());
    const auto count = std::min(bytes.size(), in.room_size());
    std::memcpy(in.room(), bytes.data(), count);
    in.added(count);
    bytes.remove_prefix(count);
  }
}

constexpr std::string_view post =
    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc";

}  // namespace

TEST_CASE("a request is read as it comes, byte by byte too") {
  const server_options options;
  request_reader reader{options};
  CHECK(reader.read() == progress::nothing);
  std::vector<progress> seen;
  for (const char each : post) {
    receive(reader, {&each, 1});
    if (const auto now = reader.read(); seen.empty() || seen.back() != now) {
      seen.push_back(now);
    }
  }
  CHECK(seen == std::vector{progress::header, progress::body, progress::finished});
  CHECK(reader.request().method == method::post);
  CHECK(reader.request().path() == "/a");
  CHECK(reader.request().body == "abc");
  CHECK(reader.keeps_alive());
  CHECK_FALSE(reader.is_http_1_0());
}

TEST_CASE("requests that came together are read one after the other") {
  const server_options options;
  request_reader reader{options};
  receive(reader, "\r\nGET /1 HTTP/1.0\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3");
  REQUIRE(reader.read() == progress::finished);
  CHECK(reader.request().path() == "/1");
  CHECK(reader.is_http_1_0());
  reader.next();
  CHECK(reader.state() == progress::nothing);
  CHECK(reader.request().path() == "/1");  // its text stays while it is answered
  REQUIRE(reader.read() == progress::finished);
  CHECK(reader.request().path() == "/2");
  reader.next();
  CHECK(reader.read() == progress::header);
}

TEST_CASE("a line end before a request may come in halves") {
  const server_options options;
  request_reader reader{options};
  receive(reader, "\r");
  CHECK(reader.read() == progress::nothing);
  receive(reader, "\n\r");
  CHECK(reader.read() == progress::nothing);
  receive(reader, "\nGET /1 HTTP/1.0\r\n\r\n\r");
  REQUIRE(reader.read() == progress::finished);
  reader.next();
  CHECK(reader.read() == progress::nothing);
  receive(reader, "\rGET /2 HTTP/1.0\r\n\r\n");
  CHECK(reader.read() == progress::refused);
}

// Goal: no cut ends the process. Beast asserts here, which took a whole server with it.
TEST_CASE("a chunked body comes in pieces of any length, an empty one too") {
  const server_options options;
  for (const std::string_view body :
       {"0\r\n\r\n", "0;a=b\r\nX: y\r\n\r\n", "1\r\na\r\n0\r\n\r\n", "00\r\n\r\n"}) {
    for (std::size_t piece = 1; piece <= body.size(); ++piece) {
      CAPTURE(body);
      CAPTURE(piece);
      request_reader reader{options};
      receive(reader, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
      REQUIRE(reader.read() == progress::body);
      for (auto left = body; !left.empty(); left.remove_prefix(std::min(piece, left.size()))) {
        receive(reader, left.substr(0, piece));
        const auto whole = left.size() <= piece;
        REQUIRE(reader.read() == (whole ? progress::finished : progress::body));
      }
      CHECK(reader.request().body == (body[0] == '1' ? "a" : ""));
    }
  }
}

TEST_CASE("a client that waits is told once to go on, and not when it has gone on by itself") {
  const server_options options;
  request_reader waits{options};
  receive(waits, post.substr(0, post.size() - 3));
  REQUIRE(waits.read() == progress::body);
  CHECK(waits.take_expectation());
  CHECK_FALSE(waits.take_expectation());
  receive(waits, "a");
  REQUIRE(waits.read() == progress::body);
  CHECK_FALSE(waits.take_expectation());
}

TEST_CASE("what is refused has a status and a reason, and nothing after it is read") {
  server_options options;
  options.header_bytes_max = 200;
  options.body_bytes_max = 10;
  const std::string get = "GET /x HTTP/1.1\r\nHost: h\r\n";
  const std::pair<std::string, int> rows[] = {
      {get + "X: a\r\n b\r\n\r\n", 400},
      {"GET /x HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
      {"GET /x HTTP/3.0\r\n\r\n", 505},
      {"GET /x y HTTP/1.1\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"GET /" + std::string(300, 'x'), 414},
      {get + "X: " + std::string(300, 'x'), 431},
      {get + "Content-Length: 11\r\n\r\n", 413},
      {get + "Transfer-Encoding: gzip\r\n\r\n", 400},
      {get + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 421},
  };
  for (const auto& [bytes, status] : rows) {
    CAPTURE(bytes);
    request_reader reader{options};
    receive(reader, bytes);
    CHECK(reader.read() == progress::refused);
    CHECK(reader.status() == status);
    CHECK_FALSE(reader.reason().empty());
    CHECK(reader.input().empty());
  }
}

TEST_CASE("a buffer that is full of what must be seen whole is refused") {
  server_options options;
  options.header_bytes_max = 100;
  request_reader reader{options};
  receive(reader, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;");
  REQUIRE(reader.read() == progress::body);
  while (reader.input().make_room()) {
    receive(reader, std::string(100, 'e').substr(0, reader.input().room_size()));
    REQUIRE(reader.read() == progress::body);
  }
  reader.refuse_oversize();
  CHECK(reader.state() == progress::refused);
  CHECK(reader.status() == 431);
}

}  // namespace millrace::gateway::http
