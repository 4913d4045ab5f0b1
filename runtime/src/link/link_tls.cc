// SPDX-License-Identifier: MIT
#include "link/link_tls.h"

#include <utility>

#include "link/tls_stream.h"
#include "millrace/runtime/assert.h"

namespace millrace::runtime {
namespace {

error cannot_use(const std::string& file, const std::string& why) {
  return {errc::invalid_argument, "cannot use '" + file + "' for links: " + why};
}

// Empty: the authority vouches for it, as peers will find who accept it and who connect to it.
std::string objection_of_authority(SSL_CTX* made, X509* own) {
  for (const auto purpose : {X509_PURPOSE_SSL_CLIENT, X509_PURPOSE_SSL_SERVER}) {
    const openssl_ptr<X509_STORE_CTX, X509_STORE_CTX_free> check{X509_STORE_CTX_new()};
    MILLRACE_ASSERT(check != nullptr &&
                    X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(made), own, nullptr) ==
                        1 &&
                    X509_STORE_CTX_set_purpose(check.get(), purpose) == 1);
    if (X509_verify_cert(check.get()) != 1) {
      ERR_clear_error();
      return X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get()));
    }
  }
  return {};
}

// What peers would refuse is refused here, where it can be mended.
result<void> check_own(SSL_CTX* made, const link_credentials& from, const link_name& self) {
  auto* const own = SSL_CTX_get0_certificate(made);
  if (!has_dns_name(own, self.certificate_name())) {
    return cannot_use(from.certificate, "it is not the certificate of " + self.to_string() +
                                            "; `millrace pki issue` makes one");
  }
  if (X509_cmp_current_time(X509_get0_notAfter(own)) < 0) {
    return cannot_use(from.certificate, "it has expired; `millrace pki issue` makes a new one");
  }
  if (const auto why = objection_of_authority(made, own); !why.empty()) {
    return cannot_use(from.certificate, "the authority in '" + from.authority +
                                            "' does not vouch for it (" + why +
                                            "); `millrace pki issue` makes one for which it does");
  }
  return {};
}

}  // namespace

result<std::unique_ptr<tls_context>> load_tls(const link_credentials& from, const link_name& self) {
  auto made = new_tls_context();
  auto* const raw = made.get();
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_default_read_buffer_len(raw, std::size_t{64} << 10U);
  if (SSL_CTX_load_verify_file(raw, from.authority.c_str()) != 1) {
    return cannot_use(from.authority, openssl_reason());
  }
  if (SSL_CTX_use_certificate_file(raw, from.certificate.c_str(), SSL_FILETYPE_PEM) != 1) {
    return cannot_use(from.certificate, openssl_reason());
  }
  if (SSL_CTX_use_PrivateKey_file(raw, from.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return cannot_use(from.key, openssl_reason());
  }
  if (const auto own = check_own(raw, from, self); !own) {
    return own.error();
  }
  return streams_of(std::move(made), {});
}

}  // namespace millrace::runtime
