// SPDX-License-Identifier: MIT
// TLS stream: OpenSSL under a byte stream. Private to the sources that load certificates.
#pragma once

#include <memory>
#include <string>

#include "link/openssl.h"
#include "millrace/runtime/byte_stream.h"

namespace millrace::runtime {

using context_ptr = openssl_ptr<SSL_CTX, SSL_CTX_free>;

/// TLS 1.3, nothing resumed, nothing asked of a terminal.
[[nodiscard]] context_ptr new_tls_context();

/// Of one that has its certificates. `protocol` is what is spoken inside; empty: nothing is said of
/// it.
[[nodiscard]] std::unique_ptr<tls_context> streams_of(context_ptr made,
                                                      const std::string& protocol);

}  // namespace millrace::runtime
