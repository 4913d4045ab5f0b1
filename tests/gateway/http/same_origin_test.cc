// SPDX-License-Identifier: MIT
#include "http/same_origin.h"

#include <doctest/doctest.h>

#include <initializer_list>

namespace millrace::gateway::http {
namespace {

struct recorder final : responder {
  void complete(response answer) override { last = std::move(answer); }
  std::shared_ptr<stream_sink> open(int, header_list, std::string_view) override { return nullptr; }
  response last;
};

using fields = std::initializer_list<std::pair<const char*, const char*>>;

int status_of_request(reach from, method verb, fields headers, const char* target = "/x",
                      channel over = channel::clear) {
  const auto checked =
      same_origin([](request&, reply answer) { answer.send(text(200, "done")); }, from, over);
  request asked;
  asked.method = verb;
  REQUIRE(asked.set_target(target));
  for (const auto& [name, value] : headers) {
    asked.headers.add(name, value);
  }
  const auto to = std::make_shared<recorder>();
  checked(asked, reply{to});
  return to->last.status;
}

TEST_CASE("programs that name no origin are served") {
  for (const auto from : {reach::loopback, reach::network}) {
    CHECK(status_of_request(from, method::post, {{"Host", "127.0.0.1:7433"}}) == 200);
    CHECK(status_of_request(from, method::get, {{"Host", "localhost:7433"}}) == 200);
    CHECK(status_of_request(from, method::get, {}) == 200);  // HTTP/1.0
  }
}

TEST_CASE("a page of another site changes nothing") {
  for (const auto from : {reach::loopback, reach::network}) {
    for (const auto verb : {method::post, method::put, method::del}) {
      CHECK(status_of_request(from, verb,
                              {{"Host", "127.0.0.1:1"}, {"Origin", "http://evil.example"}}) == 403);
      CHECK(status_of_request(from, verb, {{"Host", "127.0.0.1:1"}, {"Origin", "null"}}) == 403);
      CHECK(status_of_request(from, verb,
                              {{"Host", "127.0.0.1:1"}, {"Origin", "http://127.0.0.1:2"}}) == 403);
      for (const auto* site : {"cross-site", "same-site"}) {
        CHECK(status_of_request(from, verb, {{"Host", "127.0.0.1:1"}, {"Sec-Fetch-Site", site}}) ==
              403);
      }
    }
  }
}

TEST_CASE("every line of a field is looked at") {
  for (const auto from : {reach::loopback, reach::network}) {
    CHECK(status_of_request(from, method::post,
                            {{"Host", "127.0.0.1:1"},
                             {"Origin", "http://127.0.0.1:1"},
                             {"Origin", "http://evil.example"}}) == 403);
    CHECK(status_of_request(from, method::post,
                            {{"Host", "127.0.0.1:1"},
                             {"Sec-Fetch-Site", "none"},
                             {"Sec-Fetch-Site", "cross-site"}}) == 403);
  }
}

TEST_CASE("who names no host changes nothing: nobody can tell where it comes from") {
  for (const auto from : {reach::loopback, reach::network}) {
    for (const auto verb : {method::post, method::put, method::del}) {
      CHECK(status_of_request(from, verb, {}) == 403);
      CHECK(status_of_request(from, verb, {{"Host", ""}}) == 403);
    }
  }
}

TEST_CASE("the host of an absolute target counts as Host does") {
  const auto loopback = [](const char* target, const char* host) {
    return status_of_request(reach::loopback, method::get, {{"Host", host}}, target);
  };
  CHECK(loopback("http://127.0.0.1:1/x", "127.0.0.1:1") == 200);
  CHECK(loopback("http://evil.example/x", "127.0.0.1:1") == 403);
  CHECK(loopback("http://127.0.0.1:1/x", "evil.example") == 403);
  CHECK(status_of_request(reach::network, method::post,
                          {{"Host", "b.example"}, {"Origin", "http://b.example"}},
                          "http://a.example/x") == 403);
  CHECK(status_of_request(reach::network, method::post,
                          {{"Host", "b.example"}, {"Origin", "http://a.example"}},
                          "http://a.example/x") == 200);
}

TEST_CASE("its own pages are served") {
  CHECK(status_of_request(reach::loopback, method::post,
                          {{"Host", "127.0.0.1:1"},
                           {"Origin", "http://127.0.0.1:1"},
                           {"Sec-Fetch-Site", "same-origin"}}) == 200);
  CHECK(status_of_request(reach::network, method::post,
                          {{"Host", "m.example"}, {"Origin", "https://m.example"}}) == 200);
}

TEST_CASE("over TLS a page that came in the clear is another's") {
  const auto over_tls = [](const char* origin) {
    return status_of_request(reach::network, method::post,
                             {{"Host", "m.example"}, {"Origin", origin}}, "/x", channel::tls);
  };
  CHECK(over_tls("https://m.example") == 200);
  CHECK(over_tls("http://m.example") == 403);
}

TEST_CASE("on the loopback a name that was made to point here is refused") {
  for (const auto* host : {"evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]",
                           "127.0.0.1:80@evil.example", "localhost.evil.example", "xlocalhost",
                           "127.0.0.1%2eevil.example", ""}) {
    CAPTURE(host);
    CHECK(status_of_request(reach::loopback, method::get, {{"Host", host}}) == 403);
  }
  for (const auto* host :
       {"127.9.9.9", "[::1]", "[::1]:80", "a.localhost:1", "localhost", "LocalHost:80"}) {
    CAPTURE(host);
    CHECK(status_of_request(reach::loopback, method::get, {{"Host", host}}) == 200);
  }
  CHECK(status_of_request(reach::network, method::get, {{"Host", "m.example"}}) == 200);
}

}  // namespace
}  // namespace millrace::gateway::http
