// SPDX-License-Identifier: MIT
// Who is let in over TLS, and who is not.
#include <doctest/doctest.h>

#include "hubs.h"
#include "link/openssl.h"

namespace millrace::runtime::testing {
namespace {

const link_name silo_a{link_role::silo, "a"};
const link_name silo_b{link_role::silo, "b"};

link_options over_tls(pki& from, const link_name& name) {
  auto options = options_of(name);
  options.credentials = from.of(name);
  return options;
}

// A client of OpenSSL's own, which does what ours would not.
class tls_client {
public:
  tls_client(std::uint16_t port, const link_credentials& shown, int version_max = TLS1_3_VERSION)
      : socket_(port), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_max_proto_version(context_.get(), version_max);
    REQUIRE(SSL_CTX_use_certificate_file(context_.get(), shown.certificate.c_str(),
                                         SSL_FILETYPE_PEM) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(context_.get(), shown.key.c_str(), SSL_FILETYPE_PEM) == 1);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_.get());
  }
  bool connect() { return SSL_connect(ssl_.get()) == 1; }
  void say_hello(const link_name& name) {
    std::string bytes;
    append_hello(bytes, {.from = {.cluster_id = "c", .name = name}, .connection = 1});
    CHECK(SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0);
  }

private:
  raw_socket socket_;
  openssl_ptr<SSL_CTX, SSL_CTX_free> context_;
  openssl_ptr<SSL, SSL_free> ssl_;
};

}  // namespace

TEST_CASE("ends with certificates of one authority exchange messages, large ones too") {
  pki authority;
  running_hub a{over_tls(authority, silo_a)};
  running_hub b{over_tls(authority, silo_b)};
  const auto link = a.open("b", b.port);
  a.events.next("up");
  const std::string large(2'000'000, 'x');
  for (int at = 0; at < 5; ++at) {
    CHECK(link->send(link_lane::bulk, 1, large) == link_send::queued);
  }
  CHECK(link->send(link_lane::call, 1, "call") == link_send::queued);
  CHECK(b.events.next("message c") == "message call");
  running_hub gateway{over_tls(authority, {link_role::gateway, "web"})};
  gateway.open("b", b.port);
  CHECK(b.events.next("up") == "up gateway.web 1");
}

TEST_CASE("a certificate of another authority opens nothing, and is told apart on both sides") {
  pki ours;
  pki others;
  running_hub b{over_tls(ours, silo_b)};
  running_hub a{over_tls(others, silo_a)};
  a.open("b", b.port);
  CHECK(a.events.next("down").starts_with("down silo.b: the other end's certificate is refused"));
  tls_client stranger{b.port, others.of(silo_a)};
  stranger.connect();
  CHECK(b.events.next("refused: the other end's certificate").size() > 0);
}

TEST_CASE("a name is its certificate's: of the end that is dialled, and of the end that dials") {
  pki authority;
  running_hub b{over_tls(authority, silo_b)};
  running_hub a{over_tls(authority, silo_a)};
  a.open("c", b.port);
  CHECK(a.events.next("down") == "down silo.c: the certificate of 127.0.0.1 is not that of silo.c");
  tls_client other_name{b.port, authority.of({link_role::silo, "aa"})};
  REQUIRE(other_name.connect());
  other_name.say_hello(silo_a);
  CHECK(b.events.next("refused: this") == "refused: this certificate is not that of silo.a");
  tls_client other_role{b.port, authority.of({link_role::gateway, "a"})};
  REQUIRE(other_role.connect());
  other_role.say_hello(silo_a);
  CHECK(b.events.next("refused: this") == "refused: this certificate is not that of silo.a");
}

TEST_CASE("an expired certificate opens nothing") {
  pki authority{system_clock{}.wall() - std::chrono::days{400}};
  const auto expired = authority.of(silo_a);
  auto options = options_of(silo_b);
  const auto now = system_clock{}.wall();
  REQUIRE(issue_certificate(authority.directory(), {.name = silo_b}, now));
  options.credentials = authority.of(silo_b);
  running_hub b{options};
  tls_client late{b.port, expired};
  late.connect();
  CHECK(b.events.next("refused") ==
        "refused: the other end's certificate is refused: certificate has expired");
}

TEST_CASE("no TLS before 1.3, and nothing in the clear") {
  pki authority;
  running_hub b{over_tls(authority, silo_b)};
  tls_client old{b.port, authority.of(silo_a), TLS1_2_VERSION};
  CHECK_FALSE(old.connect());
  CHECK(b.events.next("refused") == "refused: TLS: unsupported protocol");
  running_hub plain{silo_options("a")};
  plain.open("b", b.port);
  CHECK(b.events.next("refused: TLS").size() > 0);
  // The other way round: TLS to a listener in the clear.
  running_hub clear{silo_options("d")};
  running_hub a{over_tls(authority, silo_a)};
  a.open("d", clear.port);
  CHECK(clear.events.next("refused").starts_with("refused: "));
  CHECK(a.events.next("down silo.d: TLS").size() > 0);
}

TEST_CASE("a hub does not start with credentials that peers would refuse") {
  pki authority{system_clock{}.wall() - std::chrono::days{400}};
  system_clock time;
  witness events;
  const auto refused = [&](const link_credentials& credentials) {
    auto options = options_of(silo_a);
    options.credentials = credentials;
    const auto started = link_hub{options, events, time, rng{1}}.start();
    REQUIRE_FALSE(started);
    CHECK(started.error().code() == errc::invalid_argument);
    return started.error().text();
  };
  const auto a = authority.of(silo_a);
  const auto b = authority.of(silo_b);
  CHECK(refused({"none.pem", a.certificate, a.key}).starts_with("cannot use 'none.pem' for links"));
  CHECK(refused({a.authority, "none.pem", a.key}).starts_with("cannot use 'none.pem' for links"));
  CHECK(refused({a.authority, a.certificate, b.key}).starts_with("cannot use '" + b.key));
  CHECK(refused(b) == "cannot use '" + b.certificate +
                          "' for links: it is not the certificate of silo.a; `millrace pki issue` "
                          "makes one");
  CHECK(refused(a) == "cannot use '" + a.certificate +
                          "' for links: it has expired; `millrace pki issue` makes a new one");
  const pki others;
  pki today;
  const auto ours = today.of(silo_a);
  const auto their_authority = others.directory() + "/ca.pem";
  const auto why = refused({their_authority, ours.certificate, ours.key});
  CHECK(why.starts_with("cannot use '" + ours.certificate + "' for links: the authority in '" +
                        their_authority + "' does not vouch for it ("));
  CHECK(why.ends_with("); `millrace pki issue` makes one for which it does"));
  pki tomorrow{time.wall() + std::chrono::days{1}};
  CHECK(refused(tomorrow.of(silo_a)).find("(certificate is not yet valid)") != std::string::npos);
}

TEST_CASE("a certificate does not outlast its authority") {
  const auto then = system_clock{}.wall();
  millrace::testing::temporary_folder folder;
  const auto directory = folder.path.string();
  REQUIRE(make_authority(directory, std::chrono::days{10}, then));
  REQUIRE(issue_certificate(directory, {.name = silo_a}, then + std::chrono::days{9}));
  const bio_ptr file{BIO_new_file((directory + "/silo.a.pem").c_str(), "r")};
  const x509_ptr certificate{PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr)};
  REQUIRE(certificate);
  CHECK(has_dns_name(certificate.get(), "silo.a.millrace"));
  CHECK_FALSE(has_dns_name(certificate.get(), "silo.A.millrace"));
  auto last = std::chrono::duration_cast<std::chrono::seconds>(
                  (then + std::chrono::days{10}).time_since_epoch())
                  .count();
  CHECK(X509_cmp_time(X509_get0_notAfter(certificate.get()), &last) <= 0);
  CHECK(*end_of_certificates(directory + "/silo.a.pem") ==
        *end_of_certificates(directory + "/ca.pem"));
  CHECK(*end_of_certificates(directory + "/ca.pem") ==
        std::chrono::floor<std::chrono::seconds>(then + std::chrono::days{10}));
  for (const auto* each : {"/silo.a.key", "/nothing", ""}) {
    const auto end = end_of_certificates(directory + each);
    REQUIRE_FALSE(end);
    CHECK(end.error().code() == errc::invalid_argument);
    CHECK(end.error().text().starts_with("cannot read certificates in '" + directory + each));
  }
  const auto late = issue_certificate(directory, {.name = silo_b}, then + std::chrono::days{10});
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == errc::failed_precondition);
  CHECK(late.error().text() == "the authority has expired; make a new one");
}

}  // namespace millrace::runtime::testing
