// SPDX-License-Identifier: MIT
// OpenSSL's objects with owners, and its errors in words. Private to the sources that include it.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace millrace::runtime {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* held) const noexcept {
    Free(held);
  }
};
template <class T, auto Free>
using openssl_ptr = std::unique_ptr<T, freed_by<Free>>;

using bio_ptr = openssl_ptr<BIO, BIO_free_all>;
using key_ptr = openssl_ptr<EVP_PKEY, EVP_PKEY_free>;
using x509_ptr = openssl_ptr<X509, X509_free>;
using names_ptr = openssl_ptr<GENERAL_NAMES, GENERAL_NAMES_free>;

/// The reason of the first error in this thread's queue, which is emptied.
[[nodiscard]] inline std::string openssl_reason() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  const auto* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "for no reason that OpenSSL gives" : reason;
}

/// Whether a certificate has `name` among its alternative names, letter for letter.
[[nodiscard]] inline bool has_dns_name(const X509* certificate, const std::string& name) {
  const names_ptr names{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  for (int at = 0; names && at < sk_GENERAL_NAME_num(names.get()); ++at) {
    const auto* const each = sk_GENERAL_NAME_value(names.get(), at);
    if (each->type != GEN_DNS) {
      continue;
    }
    const auto* const text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(each->d.dNSName));
    const auto size = static_cast<std::size_t>(ASN1_STRING_length(each->d.dNSName));
    if (name == std::string_view{text, size}) {
      return true;
    }
  }
  return false;
}

}  // namespace millrace::runtime
