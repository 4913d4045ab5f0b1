// SPDX-License-Identifier: MIT
// How etcd is reached where it is guarded: TLS that is verified, a user and a password.
#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "coordination/etcd_wire.h"
#include "providers.h"

namespace millrace::runtime {
namespace {

using namespace testing;

// A certificate that is its own authority, for that name.
void make_certificate(const std::filesystem::path& folder, const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* made = X509_new();
  X509_set_version(made, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
  X509_gmtime_adj(X509_getm_notBefore(made), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made), 3600);
  X509_set_pubkey(made, key);
  auto* subject = X509_get_subject_name(made);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("etcd"), -1, -1, 0);
  X509_set_issuer_name(made, subject);
  for (const auto& [nid, value] :
       {std::pair{NID_subject_alt_name, "DNS:" + name},
        std::pair{NID_basic_constraints, std::string{"critical,CA:TRUE"}}}) {
    auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    REQUIRE(extension != nullptr);
    X509_add_ext(made, extension, -1);
    X509_EXTENSION_free(extension);
  }
  REQUIRE(X509_sign(made, key, EVP_sha256()) > 0);
  auto* file = std::fopen((folder / (name + ".pem")).c_str(), "w");
  PEM_write_X509(file, made);
  std::fclose(file);
  file = std::fopen((folder / (name + ".key")).c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(made);
  EVP_PKEY_free(key);
}

result<std::unique_ptr<coordination_store>> open(etcd_options etcd) {
  return open_etcd_store(std::move(etcd), the_clock(), soon());
}

TEST_CASE("a server is verified: its authority, and its name") {
  temporary_folder folder;
  make_certificate(folder.path, "localhost");
  make_certificate(folder.path, "another");
  const auto file = [&](const char* name) { return (folder.path / name).string(); };
  etcd_server right{{"--cert-file=" + file("localhost.pem"), "--key-file=" + file("localhost.key")},
                    "https"};
  etcd_options etcd;
  etcd.endpoints = {right.url()};
  etcd.tls.authorities = file("localhost.pem");
  auto store = open(etcd);
  REQUIRE(store);
  CHECK((*store)->read(0, soon()));

  for (const auto& authorities : {std::string{}, file("another.pem")}) {
    etcd.tls.authorities = authorities;
    const auto refused = open(etcd);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code() == errc::unavailable);
    CHECK(refused.error().text().find("verify failed") != std::string::npos);
  }

  etcd_server wrong{{"--cert-file=" + file("another.pem"), "--key-file=" + file("another.key")},
                    "https"};
  etcd.endpoints = {wrong.url()};
  etcd.tls.authorities = file("another.pem");
  CHECK_FALSE(open(etcd));

  etcd.tls.authorities = file("nothing.pem");
  const auto no_file = open(etcd);
  REQUIRE_FALSE(no_file);
  CHECK(no_file.error().code() == errc::failed_precondition);
}

TEST_CASE("a certificate of the silo's own lets it in where one is asked for") {
  temporary_folder folder;
  make_certificate(folder.path, "localhost");
  const auto file = [&](const char* name) { return (folder.path / name).string(); };
  etcd_server server{{"--cert-file=" + file("localhost.pem"), "--key-file=" + file("localhost.key"),
                      "--trusted-ca-file=" + file("localhost.pem"), "--client-cert-auth"},
                     "https"};
  etcd_options etcd;
  etcd.endpoints = {server.url()};
  etcd.tls = {file("localhost.pem"), file("localhost.pem"), file("localhost.key")};
  CHECK(open(etcd));
  etcd.tls.certificate = etcd.tls.key = {};
  CHECK_FALSE(open(etcd));
}

// What the server answers to a POST below /v3/auth/.
std::string ask(const etcd_server& server, const std::string& target, const std::string& body,
                const std::string& token = {}) {
  const auto endpoint = parse_http_endpoint(server.url());
  REQUIRE(endpoint);
  http_exchange one{*endpoint, nullptr, the_clock()};
  const auto answer = one.ask({"/v3/auth/" + target, body, token}, soon());
  REQUIRE(answer);
  REQUIRE(answer->status == 200);
  return answer->body;
}

TEST_CASE("a user logs in, and again when the server has forgotten it") {
  etcd_server server;
  ask(server, "user/add", R"({"name": "root", "password": "secret"})");
  ask(server, "role/add", R"({"name": "root"})");
  ask(server, "user/grant", R"({"user": "root", "role": "root"})");
  ask(server, "enable", "{}");
  etcd_options etcd;
  etcd.endpoints = {server.url()};
  CHECK_FALSE(open(etcd));
  etcd.user = "root";
  etcd.password = "wrong";
  const auto refused = open(etcd);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == errc::unauthenticated);
  etcd.password = "secret";
  const auto store = open(etcd);
  REQUIRE(store);
  CHECK((*store)->read(0, soon()));

  // What it then has as tokens are others.
  const auto token = read_token(ask(server, "authenticate", login_request("root", "secret")));
  REQUIRE(token);
  ask(server, "disable", "{}", *token);
  ask(server, "enable", "{}");
  stored_partition wanted;
  wanted.nonce = mint_nonce();
  CHECK(std::holds_alternative<cas_done>((*store)->compare_and_set(wanted, soon())));
  CHECK((*store)->read(0, soon()));
}

}  // namespace
}  // namespace millrace::runtime
