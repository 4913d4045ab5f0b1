// SPDX-License-Identifier: MIT
// TLS of links: both ends show a certificate of the cluster's own authority, and who the other end
// is is asked by its exact name in that certificate.
#pragma once

#include <memory>
#include <string>

#include "millrace/runtime/byte_stream.h"

namespace millrace::runtime {

/// Where the proof of an end lies: PEM files, as `millrace pki` makes them.
struct link_credentials {
  std::string authority;    ///< The certificate of the cluster's authority.
  std::string certificate;  ///< The end's own.
  std::string key;
};

/// Errors: `invalid_argument`, with the file in the text, for what cannot be read, does not belong
/// together, is not `self`'s, has expired, or is not from that authority.
[[nodiscard]] result<std::unique_ptr<tls_context>> load_tls(const link_credentials& from,
                                                            const link_name& self);

}  // namespace millrace::runtime
