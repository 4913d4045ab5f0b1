// SPDX-License-Identifier: MIT
// Byte stream: a connected socket in the clear or under TLS 1.3, of which nothing waits.
//
// No version of TLS below 1.3 is spoken, and nothing is resumed: each connection proves anew who
// is there. Links between silos and the HTTP server and client use the same streams; they differ in
// whom they trust.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/runtime/link_name.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// Why a stream has ended, as far as somebody can do something about it.
enum class stream_end : std::uint8_t {
  closed,               ///< The other end has said that nothing more comes.
  broken,               ///< It or the way to it is gone, or it broke the protocol.
  not_tls,              ///< It speaks something else than TLS.
  untrusted,            ///< Its certificate is of no authority that is trusted here.
  wrong_host,           ///< Its certificate is for another host.
  out_of_date,          ///< Its certificate is not valid yet, or no longer.
  certificate_wanted,   ///< It wants to see a certificate, and was shown none.
  certificate_refused,  ///< It does not accept the certificate that it was shown.
};

/// What became of an operation.
struct stream_step {
  /// How far it came.
  enum class state : std::uint8_t {
    done,
    wants_read,   ///< Again when the socket can be read.
    wants_write,  ///< Again when it can be written.
    ended,        ///< There is nothing more to do with the stream: see `end` and `why`.
  };
  state now = state::done;              ///< Whether it is done.
  std::size_t bytes = 0;                ///< Read or written.
  std::string why = {};                 ///< For people, when it has ended.
  bool is_drained = false;              ///< A read: there was no more in the socket just now.
  stream_end end = stream_end::broken;  ///< When it has ended.
};

/// One end of a connection.
///
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
  /// Reads at least a byte.
  [[nodiscard]] virtual stream_step read(char* to, std::size_t size) = 0;
  /// Writes at least a byte. After `wants_*` the next write begins with the same bytes.
  [[nodiscard]] virtual stream_step write(std::string_view bytes) = 0;
  /// Tells the other end that nothing more comes from here, as far as that goes without waiting.
  virtual void finish() = 0;
  /// Whether the other end has proven to be this one; in the clear nobody has to.
  [[nodiscard]] virtual bool is_peer(const link_name& name) const = 0;
};

/// A stream in the clear.
[[nodiscard]] std::unique_ptr<byte_stream> plain_stream(int socket);

/// Whom to trust, and who this is. Files are PEM; empty names: the system's authorities, nobody.
struct tls_files {
  std::string authorities;  ///< Certificates of authorities.
  std::string certificate;  ///< Its own, and those between it and its authority.
  std::string key;          ///< Of the certificate; not for everybody on the machine to read.
};

/// What all TLS streams of an end share.
///
/// Ownership: its streams keep what they need of it.
/// Threading: any thread.
class tls_context {
public:
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;
  virtual ~tls_context() = default;

  /// The end that connects. `host` is the name or address that the other end's certificate must be
  /// for; empty: any, and somebody asks `is_peer`.
  [[nodiscard]] virtual std::unique_ptr<byte_stream> connecting(int socket,
                                                                const std::string& host) = 0;
  /// The end that is connected to.
  [[nodiscard]] virtual std::unique_ptr<byte_stream> accepting(int socket) = 0;

protected:
  tls_context() = default;
};

/// A server's end. With `authorities` a client must show a certificate of one of them. `protocol`
/// is what is spoken inside (ALPN, RFC 7301): a client that offers only others is refused.
///
/// Errors: `invalid_argument`, with the file, the problem and the remedy in the text, for what
/// cannot be read, does not belong together, has expired, or is a key that anyone may read.
[[nodiscard]] result<std::unique_ptr<tls_context>> load_server_tls(const tls_files& files,
                                                                   const std::string& protocol);

/// A client's end: it shows a certificate if there is one and the server asks. `protocol` and
/// errors as of a server.
[[nodiscard]] result<std::unique_ptr<tls_context>> load_client_tls(const tls_files& files,
                                                                   const std::string& protocol);

}  // namespace millrace::runtime
