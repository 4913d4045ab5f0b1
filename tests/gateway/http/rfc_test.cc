// SPDX-License-Identifier: MIT
// What RFC 9110 (semantics) and RFC 9112 (HTTP/1.1) say that a server, or a recipient, MUST do, as
// far as this one has what it is about: it has no upgrades, ranges, codings, proxies or CONNECT.
//
// Method: the bytes go through a real socket; what comes back until the server closes is compared
// whole. In what is expected `*` stands for any bytes (the texts of problems), `?` for any byte.
#include <doctest/doctest.h>

#include "http/problem.h"
#include "http/router.h"
#include "wire.h"

namespace millrace::gateway::http {
namespace {

bool fits(std::string_view text, std::string_view pattern) {
  if (pattern.empty() || pattern.front() != '*') {
    return pattern.empty() ? text.empty()
                           : !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
                                 fits(text.substr(1), pattern.substr(1));
  }
  for (std::size_t from = 0; from <= text.size(); ++from) {
    if (fits(text.substr(from), pattern.substr(1))) {
      return true;
    }
  }
  return false;
}

void show(request& asked, reply answer) {
  answer.send(text(200, std::string{to_string(asked.method)} + " " + std::string{asked.path()} +
                            " at " + std::string{asked.authority().value_or("nobody")} + " [" +
                            asked.body + "]"));
}

router resources() {
  router routes;
  for (const auto verb : {method::get, method::post, method::put}) {
    routes.add(verb, "/x", show);
  }
  routes.add(method::get, "/", show);
  routes.add(method::get, "/none", [](request&, reply answer) { answer.send(empty()); });
  routes.add(method::get, "/same", [](request&, reply answer) {
    auto made = empty(304);
    made.headers.add("ETag", "\"1\"");
    answer.send(std::move(made));
  });
  routes.add(method::get, "/flow", [](request&, reply answer) {
    auto out = answer.open(200, {});
    out.write("ab");
  });
  routes.add(method::get, "/mine", [](request&, reply answer) {
    answer.fail({runtime::errc::unauthenticated, "who are you?"});
  });
  return routes;
}

struct requirement {
  std::string section;
  std::string says;
  std::string sent;
  std::string expected;
};

const std::string host = "Host: h\r\n";
const std::string close = "Connection: close\r\n";
const std::string get = "GET /x HTTP/1.1\r\n" + host;
const std::string post = "POST /x HTTP/1.1\r\n" + host;
const std::string last_get = get + close + "\r\n";

// An answer with that text, the last one of its connection.
std::string ok(const std::string& text) {
  return "HTTP/1.1 200 OK\r\nDate: * GMT\r\n" + close +
         "Content-Type: text/plain; charset=utf-8\r\nContent-Length: " +
         std::to_string(text.size()) + "\r\n\r\n" + text;
}
std::string then(const std::string& text) {
  return "HTTP/1.1 200 OK\r\nDate: * GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
         "Content-Length: " +
         std::to_string(text.size()) + "\r\n\r\n" + text;
}
const std::string shown = ok("GET /x at h []");

// A refusal, after which the connection is closed.
std::string refused(const std::string& status) {
  return "HTTP/1.1 " + status + "\r\nDate: * GMT\r\n" + close +
         "Content-Type: application/problem+json\r\nContent-Length: *\r\n\r\n{*}";
}
const std::string bad = refused("400 Bad Request");

const std::vector<requirement> requirements{
    // --- the message -----------------------------------------------------------------------------
    {"9112 2.2", "a message is octets: a field may hold others than those of US-ASCII",
     get + "X: caf\xc3\xa9 \xff\r\n" + close + "\r\n", shown},
    {"9112 2.2", "at least one empty line before the request line is ignored (SHOULD)",
     "\r\n" + last_get, shown},
    {"9112 2.2", "such as some clients send after a body",
     post + "Content-Length: 2\r\n\r\nab\r\n" + last_get, then("POST /x at h [ab]") + shown},
    {"9112 2.2", "a bare CR is invalid", get + "X: a\rb\r\n\r\n", bad},
    {"9112 2.2", "white space before the first field is rejected or its line is not read",
     "GET /x HTTP/1.1\r\n " + host + "\r\n", bad},
    {"9112 2.3", "HTTP is written in upper case", "GET /x http/1.1\r\n" + host + "\r\n", bad},
    {"9110 2.5", "another major version may be refused", "GET /x HTTP/2.0\r\n" + host + "\r\n",
     refused("505 HTTP Version Not Supported")},
    {"9112 3", "a request line that is none is refused (SHOULD)",
     "GET /x y HTTP/1.1\r\n" + host + "\r\n", bad},
    {"9112 3", "a target that is too long is answered 414",
     "GET /" + std::string(5000, 'x') + " HTTP/1.1\r\n" + host + "\r\n",
     refused("414 URI Too Long")},
    {"9110 5.4", "fields that are too large are answered 4xx",
     get + "X: " + std::string(5000, 'x') + "\r\n\r\n",
     refused("431 Request Header Fields Too Large")},
    {"9112 3.1", "a method that is not known is answered 501 (SHOULD)",
     "BREW /x HTTP/1.1\r\n" + host + "\r\n", refused("501 Not Implemented")},
    {"9110 9.1", "methods are case-sensitive", "get /x HTTP/1.1\r\n" + host + "\r\n",
     refused("501 Not Implemented")},
    // --- whom it is for --------------------------------------------------------------------------
    {"9112 3.2", "no Host in HTTP/1.1", "GET /x HTTP/1.1\r\n\r\n", bad},
    {"9112 3.2", "more than one Host", get + "Host: h\r\n\r\n", bad},
    {"9112 3.2", "more than one Host, in HTTP/1.0 too",
     "GET /x HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", bad},
    {"9112 3.2", "a Host that is no host: user information",
     "GET /x HTTP/1.1\r\nHost: 127.0.0.1:80@evil.example\r\n\r\n", bad},
    {"9112 3.2", "a Host that is no host: a path", "GET /x HTTP/1.1\r\nHost: h/p\r\n\r\n", bad},
    {"9112 3.2", "a Host that is no host: two", "GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n", bad},
    {"9112 3.2", "a Host that is no host: a port of letters",
     "GET /x HTTP/1.1\r\nHost: h:http\r\n\r\n", bad},
    {"9112 3.2", "a Host that is no host: a bracket", "GET /x HTTP/1.1\r\nHost: [::1\r\n\r\n", bad},
    {"9110 7.2", "a port is a part of Host",
     "GET /x HTTP/1.1\r\nHost: [::1]:80\r\n" + close + "\r\n", ok("GET /x at [::1]:80 []")},
    {"9112 3.2.2", "the absolute form is accepted, and its host counts, not Host",
     "GET http://a.example:8/x HTTP/1.1\r\n" + host + close + "\r\n",
     ok("GET /x at a.example:8 []")},
    {"9110 4.2.3", "schemes are written in any case; no path is /",
     "GET HTTP://a.example HTTP/1.1\r\n" + host + close + "\r\n", ok("GET / at a.example []")},
    {"9110 4.2.1", "an http URI without a host is invalid",
     "GET http:///x HTTP/1.1\r\n" + host + "\r\n", bad},
    {"9110 4.2.4", "user information in a URI is an error (SHOULD)",
     "GET http://h@evil.example/x HTTP/1.1\r\n" + host + "\r\n", bad},
    {"9110 7.4", "what is https is rejected on a connection without TLS",
     "GET https://h/x HTTP/1.1\r\n" + host + "\r\n", refused("421 Misdirected Request")},
    {"9112 3.2.4", "the form * is for OPTIONS", "GET * HTTP/1.1\r\n" + host + "\r\n", bad},
    {"9110 9.3.7", "OPTIONS * is of the server as a whole",
     "OPTIONS * HTTP/1.1\r\n" + host + close + "\r\n",
     "HTTP/1.1 204 No Content\r\nDate: * GMT\r\n" + close + "Allow: *\r\n\r\n"},
    // --- fields ----------------------------------------------------------------------------------
    {"9110 5.1", "field names are case-insensitive",
     "GET /x HTTP/1.1\r\nhOST: h\r\ncONNECTION: cLOSE\r\n\r\n", shown},
    {"9110 5.1", "fields that are not known are ignored",
     get + "X-Unknown: 1\r\nX-Unknown: 2\r\n" + close + "\r\n", shown},
    {"9112 5.1", "white space between name and colon", get + "X : a\r\n\r\n", bad},
    {"9112 5.1", "white space around a value is no part of it",
     "GET /x HTTP/1.1\r\nHost: \t h \t\r\n" + close + "\r\n", shown},
    {"9112 5.2", "a folded line", get + "X: a\r\n b\r\n\r\n", bad},
    {"9112 5.2", "a folded line, by a tab", get + "X: a\r\n\tb\r\n\r\n", bad},
    {"9112 5.2", "a folded line whose first part is empty",
     "GET /x HTTP/1.1\r\nHost:\r\n h\r\n\r\n", bad},
    {"9112 5.2", "a line that is folded into nothing", get + "X: a\r\n \r\n\r\n", bad},
    {"9112 5.2", "a folded trailer",
     post + "Transfer-Encoding: chunked\r\n\r\n0\r\nT: a\r\n b\r\n\r\n", bad},
    {"9110 5.5", "NUL in a value", get + "X: a" + std::string(1, '\0') + "b\r\n\r\n", bad},
    {"9110 5.6.1", "empty elements of lists are ignored", get + "Connection: , close ,,\r\n\r\n",
     shown},
    {"9110 7.6.1", "the options of Connection are a list over all its lines",
     get + "Connection: x\r\nConnection: y, close\r\n\r\n", shown},
    {"9110 7.8", "an Upgrade that is not followed is ignored",
     get + "Upgrade: h2c\r\nConnection: upgrade, close\r\n\r\n", shown},
    {"9110 14.2", "a Range that is not handled is ignored",
     get + "Range: bytes=0-1\r\n" + close + "\r\n", shown},
    // --- bodies ----------------------------------------------------------------------------------
    {"9112 6.1", "chunked is understood",
     post + close + "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
     ok("POST /x at h [abc0123456789]")},
    {"9112 7.1.1", "chunk extensions that are not known are ignored",
     post + close + "Transfer-Encoding: chunked\r\n\r\n1;a=b;c=\"d;e\"\r\nx\r\n0;e\r\n\r\n",
     ok("POST /x at h [x]")},
    {"9112 7.1.2", "trailers are not merged into the fields",
     post + "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: evil\r\nExpect: tea\r\n\r\n" + last_get,
     then("POST /x at h []") + shown},
    {"9112 7.1", "a chunk size that overflows",
     post + "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n", bad},
    {"9112 6.1", "a coding that is not known is answered 501 (SHOULD)",
     post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", refused("501 Not Implemented")},
    {"9112 6.3", "a last coding that is not chunked is answered 400",
     post + "Transfer-Encoding: gzip\r\n\r\n", bad},
    {"9112 6.3", "a last coding that is not chunked is answered 400",
     post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", bad},
    {"9112 6.1", "chunked twice",
     post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", bad},
    {"9112 6.1", "a coding in HTTP/1.0 is a fault, and the connection is closed",
     "POST /x HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", bad},
    {"9112 6.3", "a coding and a length: the connection is closed",
     post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + last_get, bad},
    {"9112 6.3", "lengths that differ", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
     bad},
    {"9112 6.3", "a length that is none", post + "Content-Length: 1x\r\n\r\nx", bad},
    {"9112 6.3", "lengths that are the same are one",
     post + close + "Content-Length: 1, 1\r\n\r\nx", ok("POST /x at h [x]")},
    {"9112 6.3", "without length or coding there is no body", post + "\r\n" + last_get,
     then("POST /x at h []") + shown},
    {"9112 9.3", "a body is read whole before the next request",
     post + "Content-Length: 4\r\n\r\nGET " + last_get, then("POST /x at h [GET ]") + shown},
    // --- answers ---------------------------------------------------------------------------------
    {"9110 6.6.1", "Date is in every answer, in the fixed form", last_get,
     "HTTP/1.1 200 OK\r\nDate: ???, ?? ??? ???? ??:??:?? GMT\r\n*"},
    {"9110 8.6", "no Content-Length in 204", "GET /none HTTP/1.1\r\n" + host + close + "\r\n",
     "HTTP/1.1 204 No Content\r\nDate: * GMT\r\n" + close + "\r\n"},
    {"9110 15.4.5", "304 has the ETag and no body",
     "GET /same HTTP/1.1\r\n" + host + close + "\r\n",
     "HTTP/1.1 304 Not Modified\r\nDate: * GMT\r\n" + close + "ETag: \"1\"\r\n\r\n"},
    {"9110 9.3.2", "HEAD has the fields of GET and no body",
     "HEAD /x HTTP/1.1\r\n" + host + "\r\n" + last_get,
     "HTTP/1.1 200 OK\r\nDate: * GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
     "Content-Length: 15\r\n\r\n" +
         shown},
    {"9110 9.3.2", "HEAD has no body where GET has chunks",
     "HEAD /flow HTTP/1.1\r\n" + host + "\r\n" + last_get,
     "HTTP/1.1 200 OK\r\nDate: * GMT\r\nTransfer-Encoding: chunked\r\n\r\n" + shown},
    {"9112 6.1", "chunks only to HTTP/1.1", "GET /flow HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "HTTP/1.0 200 OK\r\nDate: * GMT\r\n" + close + "\r\nab"},
    {"9110 15.5.6", "405 has Allow", "PUT /none HTTP/1.1\r\n" + host + close + "\r\n",
     "HTTP/1.1 405 Method Not Allowed\r\nDate: * GMT\r\n" + close +
         "Allow: GET, HEAD, OPTIONS\r\nContent-Type: *\r\n\r\n{*}"},
    {"9110 11.6.1", "401 has WWW-Authenticate", "GET /mine HTTP/1.1\r\n" + host + close + "\r\n",
     "HTTP/1.1 401 Unauthorized\r\nDate: * GMT\r\n" + close +
         "WWW-Authenticate: Bearer realm=\"millrace\"\r\nContent-Type: *\r\n\r\n{*}"},
    {"9110 10.1.1", "who waits to be told to continue is told so or answered",
     post + close + "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
     "HTTP/1.1 100 Continue\r\n\r\n"},
    {"9110 10.1.1", "in HTTP/1.0 nobody waits for that",
     "POST /x HTTP/1.0\r\n" + host + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
     "HTTP/1.0 200 OK\r\nDate: * GMT\r\n" + close + "*POST /x at h [x]"},
    {"9110 10.1.1", "another expectation may be answered 417", post + "Expect: tea\r\n\r\n",
     refused("417 Expectation Failed")},
    // --- the connection --------------------------------------------------------------------------
    {"9112 9.3", "HTTP/1.1 stays", get + "\r\n" + last_get, then("GET /x at h []") + shown},
    {"9112 9.3", "HTTP/1.0 does not, unless asked", "GET /x HTTP/1.0\r\n\r\n" + last_get,
     "HTTP/1.0 200 OK\r\nDate: * GMT\r\n" + close + "*GET /x at nobody []"},
    {"9112 9.3.2", "answers come in the order of their requests",
     "GET / HTTP/1.1\r\n" + host + "\r\n" + last_get, then("GET / at h []") + shown},
    {"9112 9.6", "after `close` nothing further is done", last_get + last_get, shown},
};

}  // namespace

TEST_CASE("what the standards say that a server must do, it does") {
  server_options options;
  options.header_bytes_max = 4096;
  const auto routes = resources();
  running on{routes.as_handler(), options};
  for (const auto& each : requirements) {
    CAPTURE(each.section);
    CAPTURE(each.says);
    wire client{on.port};
    client.send(each.sent);
    if (each.expected.starts_with("HTTP/1.1 100 ")) {
      client.finish_sending();  // else the server waits for what it has asked for
    }
    const auto answer = client.read_all();
    CAPTURE(answer);
    CHECK(fits(answer, each.expected));
  }
}

}  // namespace millrace::gateway::http
