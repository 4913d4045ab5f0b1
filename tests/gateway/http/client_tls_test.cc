// SPDX-License-Identifier: MIT
// The client over TLS: whom it trusts, what it shows, and what it says when that is not enough.
#include <doctest/doctest.h>

#include <thread>

#include "http/client.h"
#include "millrace/runtime/unique_fd.h"
#include "tls_wire.h"

namespace millrace::gateway::http {
namespace {

using namespace std::chrono_literals;
using runtime::errc;

client to(const running& on, runtime::tls_files files, const std::string& host = "127.0.0.1") {
  client_options options;
  options.base = {.host = host, .port = on.port, .prefix = "", .is_tls = true};
  options.tls = std::move(files);
  return client{options, on.clock};
}

/// Trusts an authority and shows nothing.
runtime::tls_files trusting(const pki& authority) {
  return {authority.authority(), {}, {}};
}

runtime::error failure(client asking) {
  const auto answer = asking.send(method::post, "/x", "body");
  REQUIRE_FALSE(answer);
  return answer.error();
}

/// A socket to which connections can be made.
struct listener {
  listener() {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof where;
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(socket.get(), 8) == 0);
    REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&where), &size) == 0);
    port = ntohs(where.sin_port);
  }
  /// Of an impatient client.
  [[nodiscard]] client_options options() const {
    client_options made;
    made.base = {.host = "127.0.0.1", .port = port, .prefix = "", .is_tls = true};
    made.connect_timeout = 1s;
    return made;
  }
  const runtime::unique_fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port = 0;
};

}  // namespace

TEST_CASE(
    "over https requests, streams and large bodies go as over http, to an address or a name") {
  pki authority;
  running on{[](request& asked, reply answer) {
               if (asked.path() == "/events") {
                 auto out = event_stream::open(std::move(answer));
                 for (int i = 1; i <= 1'000; ++i) {
                   out.event(std::to_string(i), "state", "x");
                 }
                 out.raw().close();
               } else {
                 echo(asked, std::move(answer));
               }
             },
             secured(own(authority.issue("web", "localhost")))};
  auto asking = to(on, trusting(authority), "localhost");
  asking.set_timeout(60s);
  const std::string body(std::size_t{8} << 20, 'x');
  for (int i = 0; i < 2; ++i) {
    const auto answer = asking.send(method::post, "/a", body);
    REQUIRE(answer);
    CHECK(answer->body == "POST /a " + body);
  }
  int seen = 0;
  CHECK(asking.events("/events", {}, [&](const received_event&) {
    ++seen;
    return flow::more;
  }));
  CHECK(seen == 1'000);
  running address{echo, secured(own(authority.issue("address", "127.0.0.1")))};
  CHECK(to(address, trusting(authority)).send(method::get, "/")->status == 200);
}

TEST_CASE("a server that cannot prove who it is gets no request, and it is said what is wrong") {
  pki ours;
  pki others;
  running on{echo, secured(own(ours.issue("web", "web.example")))};
  auto refused = failure(to(on, trusting(others)));
  CHECK(refused.code() == errc::unauthenticated);
  CHECK(has(refused.text(), "the other end's certificate is refused: "));
  CHECK(has(refused.text(), "it is not from an authority in '" + others.authority() + "' (--ca)"));
  refused = failure(to(on, {}));  // the system's
  CHECK(refused.code() == errc::unauthenticated);
  CHECK(has(refused.text(), "name the certificate of its authority with --ca FILE"));
  for (const auto* host : {"127.0.0.1", "localhost"}) {
    refused = failure(to(on, trusting(ours), host));
    CHECK(refused.code() == errc::unauthenticated);
    CHECK(has(refused.text(), "mismatch; it is not for '" + std::string{host} + "'"));
  }
  pki later{runtime::system_clock{}.wall() + std::chrono::days{10}};
  running early{echo, secured(own(later.issue("web")))};
  refused = failure(to(early, trusting(later)));
  CHECK(refused.code() == errc::unauthenticated);
  CHECK(has(refused.text(), "not yet valid; renew the server's certificate"));
  CHECK(on.served.probe().requests_total + early.served.probe().requests_total == 0);
}

TEST_CASE(
    "a client shows its certificate to a server that asks, and says so when it must have one") {
  pki ours;
  pki others;
  running on{echo, secured(ours.issue("web"))};
  auto refused = failure(to(on, trusting(ours)));
  CHECK(refused.code() == errc::unauthenticated);
  CHECK(has(refused.text(), "--client-certificate FILE and --client-key FILE"));
  auto shown = others.issue("a");
  shown.authorities = ours.authority();
  refused = failure(to(on, shown));
  CHECK(refused.code() == errc::unauthenticated);
  CHECK(has(refused.text(), "does not accept the certificate in '" + shown.certificate + "'"));
  CHECK(on.served.probe().requests_total == 0);
  CHECK(to(on, ours.issue("a")).send(method::get, "/")->status == 200);
  CHECK(failure(to(on, {"/nowhere/ca.pem", {}, {}})).text() ==
        "cannot use '/nowhere/ca.pem': No such file or directory; name a file that can be read");
}

TEST_CASE("https where there is none, and http where there is https, is told apart") {
  pki authority;
  running clear{echo};
  const auto refused = failure(to(clear, trusting(authority)));
  CHECK(refused.code() == errc::unavailable);
  CHECK(has(refused.text(), "it does not speak TLS there; ask for http://"));
  running on{echo, secured(own(authority.issue("web")))};
  client_options options;
  options.base = {.host = "127.0.0.1", .port = on.port, .prefix = ""};
  const auto answer = client{options, on.clock}.send(method::get, "/");
  REQUIRE(answer);
  CHECK(answer->status == 400);
  CHECK(has(answer->body, "ask for https://"));
}

TEST_CASE("a server that does not shake hands is given up in time") {
  const listener silent;  // connections are made by the kernel, and nobody speaks
  const runtime::system_clock clock;
  const auto refused = failure(client{silent.options(), clock});
  CHECK(refused.code() == errc::unavailable);
  CHECK(has(refused.text(), "no connection in time; does it speak TLS there?"));
}

TEST_CASE("a server that speaks no TLS 1.3 gets no request") {
  pki authority;
  const auto files = authority.issue("old");
  const listener old;
  std::thread serving{[&] {
    const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context{SSL_CTX_new(TLS_server_method()),
                                                               SSL_CTX_free};
    SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str());
    SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM);
    const std::unique_ptr<SSL, void (*)(SSL*)> end{SSL_new(context.get()), SSL_free};
    const runtime::unique_fd accepted{::accept(old.socket.get(), nullptr, nullptr)};
    SSL_set_fd(end.get(), accepted.get());
    SSL_accept(end.get());
  }};
  const runtime::system_clock clock;
  auto options = old.options();
  options.tls.authorities = authority.authority();
  options.connect_timeout = 10s;
  const auto refused = failure(client{options, clock});
  serving.join();
  CHECK(refused.code() == errc::unavailable);
  CHECK(has(refused.text(), "protocol version"));
}

}  // namespace millrace::gateway::http
