// SPDX-License-Identifier: MIT
// TLS for the tests of the server: an authority, and a client of OpenSSL's own, which does what
// ours would not.
#pragma once

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <cerrno>
#include <memory>
#include <string>

#include "folders.h"
#include "http/identity.h"
#include "millrace/runtime/certificates.h"
#include "wire.h"

namespace millrace::gateway::http {

/// An authority, and what it issues.
class pki {
public:
  explicit pki(runtime::wall_time now = runtime::system_clock{}.wall()) : now_(now) {
    REQUIRE(runtime::make_authority(directory(), runtime::authority_valid_for, now));
  }

  /// A certificate for 127.0.0.1 of its own, and the authority that issued it.
  runtime::tls_files issue(const std::string& name, const std::string& address = "127.0.0.1",
                           std::chrono::days valid_for = runtime::certificate_valid_for) {
    const auto made = runtime::issue_certificate(directory(),
                                                 {.name = {runtime::link_role::gateway, name},
                                                  .addresses = {address},
                                                  .valid_for = valid_for},
                                                 now_);
    REQUIRE(made);
    return {authority(), made->certificate, made->key};
  }
  [[nodiscard]] std::string authority() const { return directory() + "/ca.pem"; }
  [[nodiscard]] std::string directory() const { return folder_.path.string(); }

private:
  testing::temporary_folder folder_;
  runtime::wall_time now_;
};

/// Options of a server that shows a certificate; `files.authorities`: of its clients.
inline server_options secured(runtime::tls_files files, identity_log log = {}) {
  auto made = identity::open(std::move(files), std::move(log));
  REQUIRE(made);
  server_options options;
  options.tls = *std::move(made);
  return options;
}

/// A certificate without the authority: of a server that asks nobody for one.
inline runtime::tls_files own(runtime::tls_files files) {
  files.authorities.clear();
  return files;
}

/// A TLS client, which trusts whoever is there.
class tls_wire final : public wire {
public:
  struct manner {
    runtime::tls_files shown = {};  ///< What it shows.
    int version_max = TLS1_3_VERSION;
    std::string protocols = {};  ///< That it offers, each after its length.
    std::uint32_t from = 0;      ///< As `wire` has it.
  };

  explicit tls_wire(std::uint16_t port) : tls_wire(port, manner{}) {}
  tls_wire(std::uint16_t port, const manner& how)
      : wire(port, how.from), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to a socket that was closed as any other
    SSL_CTX_set_max_proto_version(context_.get(), how.version_max);
    if (!how.shown.certificate.empty()) {
      REQUIRE(SSL_CTX_use_certificate_chain_file(context_.get(), how.shown.certificate.c_str()) ==
              1);
      REQUIRE(SSL_CTX_use_PrivateKey_file(context_.get(), how.shown.key.c_str(),
                                          SSL_FILETYPE_PEM) == 1);
    }
    ssl_.reset(SSL_new(context_.get()));
    if (!how.protocols.empty()) {
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(how.protocols.data()),
                          static_cast<unsigned>(how.protocols.size()));
    }
    SSL_set_fd(ssl_.get(), socket());
    ERR_clear_error();
    is_connected_ = SSL_connect(ssl_.get()) == 1;
    failure_ = is_connected_ ? "" : reason();
  }

  [[nodiscard]] bool is_connected() const { return is_connected_; }
  /// Why the last operation failed; "end" when the server has said that it is over.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] std::string version() const { return SSL_get_version(ssl_.get()); }
  [[nodiscard]] std::string protocol() const {
    const unsigned char* text = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &text, &size);
    return {reinterpret_cast<const char*>(text), size};
  }
  /// The name that the server's certificate is issued for.
  [[nodiscard]] std::string server_name() const {
    const std::unique_ptr<X509, void (*)(X509*)> shown{SSL_get1_peer_certificate(ssl_.get()),
                                                       X509_free};
    char name[256] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(shown.get()), NID_commonName, name,
                              sizeof name);
    return name;
  }

protected:
  ssize_t put(std::string_view bytes) override {
    return went(SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())));
  }
  ssize_t get(char* to, std::size_t size) override {
    return went(SSL_read(ssl_.get(), to, static_cast<int>(size)));
  }

private:
  ssize_t went(int count) {
    if (count <= 0) {
      const bool is_end = SSL_get_error(ssl_.get(), count) == SSL_ERROR_ZERO_RETURN;
      failure_ = is_end ? "end" : reason();
    }
    return count;
  }
  static std::string reason() {
    const auto code = ERR_get_error();
    ERR_clear_error();
    const auto* text = code == 0 ? nullptr : ERR_reason_error_string(code);
    return text != nullptr ? text : "closed";
  }

  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  struct free_ssl {
    void operator()(SSL* held) const { SSL_free(held); }
  };
  std::unique_ptr<SSL, free_ssl> ssl_;
  bool is_connected_ = false;
  std::string failure_;
};

}  // namespace millrace::gateway::http
