// SPDX-License-Identifier: MIT
// Byte stream: a connected socket in the clear or under TLS 1.3, of which nothing waits.
//
// TLS is used one way: both ends show a certificate of the cluster's own authority, no version
// below 1.3 is spoken, and who the other end is is asked by its exact name in that certificate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/runtime/link_name.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// What became of an operation.
struct stream_step {
  enum class state : std::uint8_t {
    done,
    wants_read,   ///< Again when the socket can be read.
    wants_write,  ///< Again when it can be written.
    ended,        ///< The other end or the way to it is gone, or broke the protocol: see `why`.
  };
  state now = state::done;
  std::size_t bytes = 0;  ///< Read or written.
  std::string why = {};
  bool is_drained = false;  ///< A read: there was no more in the socket just now.
};

/// Ownership: the socket belongs to someone else, who outlives it and has set it non-blocking.
/// Threading: one thread at a time.
class byte_stream {
public:
  byte_stream() = default;
  byte_stream(const byte_stream&) = delete;
  byte_stream& operator=(const byte_stream&) = delete;
  virtual ~byte_stream() = default;

  /// Comes before anything else, until it is `done`.
  [[nodiscard]] virtual stream_step handshake() = 0;
  [[nodiscard]] virtual stream_step read(char* to, std::size_t size) = 0;
  /// After `wants_*` the next write begins with the same bytes.
  [[nodiscard]] virtual stream_step write(std::string_view bytes) = 0;
  /// Whether the other end has proven to be this one; in the clear nobody has to.
  [[nodiscard]] virtual bool is_peer(const link_name& name) const = 0;
};

[[nodiscard]] std::unique_ptr<byte_stream> plain_stream(int socket);

/// Where the proof of an end lies: PEM files, as `millrace pki` makes them.
struct link_credentials {
  std::string authority;    ///< The certificate of the cluster's authority.
  std::string certificate;  ///< The end's own.
  std::string key;
};

/// What all TLS streams of an end share.
///
/// Threading: one thread at a time, with its streams.
class tls_context {
public:
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;
  virtual ~tls_context() = default;

  [[nodiscard]] virtual std::unique_ptr<byte_stream> connecting(int socket) = 0;
  [[nodiscard]] virtual std::unique_ptr<byte_stream> accepting(int socket) = 0;

protected:
  tls_context() = default;
};

/// Errors: `invalid_argument`, with the file in the text, for what cannot be read, does not belong
/// together, is not `self`'s, has expired, or is not from that authority.
[[nodiscard]] result<std::unique_ptr<tls_context>> load_tls(const link_credentials& from,
                                                            const link_name& self);

}  // namespace millrace::runtime
