// SPDX-License-Identifier: MIT
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "link/byte_stream.h"
#include "link/openssl.h"
#include "millrace/runtime/assert.h"

namespace millrace::runtime {
namespace {

using context_ptr = openssl_ptr<SSL_CTX, SSL_CTX_free>;
using ssl_ptr = openssl_ptr<SSL, SSL_free>;

// What lies below a stream: OpenSSL's own socket BIO would raise SIGPIPE, and does not tell whether
// the socket was read empty.
struct socket_state {
  int socket = -1;
  bool is_drained = false;
  int failure = 0;  // errno of what ended it; 0: the other end closed
};

socket_state& state_of(BIO* bio) {
  return *static_cast<socket_state*>(BIO_get_data(bio));
}

int bio_result(BIO* bio, ssize_t count, int retry_flag) {
  BIO_clear_retry_flags(bio);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
  } else if (count < 0) {
    state_of(bio).failure = errno;
  }
  return static_cast<int>(count);
}

int bio_read(BIO* bio, char* to, int size) {
  auto& state = state_of(bio);
  const auto count = ::recv(state.socket, to, static_cast<std::size_t>(size), MSG_DONTWAIT);
  state.is_drained = count < size;
  return bio_result(bio, count, BIO_FLAGS_READ);
}

int bio_write(BIO* bio, const char* from, int size) {
  const auto count = ::send(state_of(bio).socket, from, static_cast<std::size_t>(size),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
  return bio_result(bio, count, BIO_FLAGS_WRITE);
}

long bio_control(BIO* /*bio*/, int what, long /*number*/, void* /*pointer*/) {
  return what == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* socket_method() {
  static const auto* const method = [] {
    auto* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "link socket");
    MILLRACE_ASSERT(made != nullptr);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

class tls final : public byte_stream {
public:
  tls(SSL_CTX* context, int socket, bool connects) : ssl_(SSL_new(context)) {
    auto* const bio = BIO_new(socket_method());
    MILLRACE_ASSERT(ssl_ != nullptr && bio != nullptr);
    state_.socket = socket;
    BIO_set_data(bio, &state_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    connects ? SSL_set_connect_state(ssl_.get()) : SSL_set_accept_state(ssl_.get());
  }

  stream_step handshake() override {
    ERR_clear_error();
    const auto outcome = SSL_do_handshake(ssl_.get());
    return outcome == 1 ? stream_step{} : not_done(outcome);
  }

  stream_step read(char* to, std::size_t size) override {
    ERR_clear_error();
    std::size_t bytes = 0;
    if (const auto outcome = SSL_read_ex(ssl_.get(), to, size, &bytes); outcome != 1) {
      return not_done(outcome);
    }
    return {.bytes = bytes, .is_drained = state_.is_drained && SSL_has_pending(ssl_.get()) == 0};
  }

  stream_step write(std::string_view bytes) override {
    ERR_clear_error();
    std::size_t written = 0;
    if (const auto outcome = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
        outcome != 1) {
      return not_done(outcome);
    }
    return {.bytes = written};
  }

  bool is_peer(const link_name& name) const override {
    const x509_ptr certificate{SSL_get1_peer_certificate(ssl_.get())};
    return certificate && SSL_get_verify_result(ssl_.get()) == X509_V_OK &&
           has_dns_name(certificate.get(), name.certificate_name());
  }

private:
  stream_step not_done(int outcome) {
    using enum stream_step::state;
    switch (SSL_get_error(ssl_.get(), outcome)) {
      case SSL_ERROR_WANT_READ:
        return {.now = wants_read, .is_drained = true};
      case SSL_ERROR_WANT_WRITE:
        return {.now = wants_write};
      case SSL_ERROR_ZERO_RETURN:
        return {.now = ended, .why = "the other end closed the connection"};
      default:
        return {.now = ended, .why = reason()};
    }
  }

  std::string reason() {
    if (const auto verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
      ERR_clear_error();
      return std::string{"the other end's certificate is refused: "} +
             X509_verify_cert_error_string(verified);
    }
    if (state_.failure != 0) {
      ERR_clear_error();
      return std::strerror(state_.failure);
    }
    if (ERR_peek_error() == 0) {
      return "the other end closed the connection";
    }
    return "TLS: " + openssl_reason();
  }

  socket_state state_;
  ssl_ptr ssl_;
};

class context final : public tls_context {
public:
  explicit context(context_ptr made) : context_(std::move(made)) {}

  std::unique_ptr<byte_stream> connecting(int socket) override {
    return std::make_unique<tls>(context_.get(), socket, true);
  }
  std::unique_ptr<byte_stream> accepting(int socket) override {
    return std::make_unique<tls>(context_.get(), socket, false);
  }

private:
  context_ptr context_;
};

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
  context_ptr made{SSL_CTX_new(TLS_method())};
  MILLRACE_ASSERT(made != nullptr);
  auto* const raw = made.get();
  ERR_clear_error();
  MILLRACE_ASSERT(SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) == 1);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // Nothing is resumed by TLS: a connection lives long, and each proves anew who is there.
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(raw, 1);  // several records in one system call
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
  return std::unique_ptr<tls_context>{std::make_unique<context>(std::move(made))};
}

}  // namespace millrace::runtime
