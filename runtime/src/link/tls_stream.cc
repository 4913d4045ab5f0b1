// SPDX-License-Identifier: MIT
#include "link/tls_stream.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "millrace/runtime/assert.h"

namespace millrace::runtime {
namespace {

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

stream_end end_of_certificate(long verified) {
  switch (verified) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return stream_end::wrong_host;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return stream_end::out_of_date;
    default:
      return stream_end::untrusted;
  }
}

stream_end end_of_protocol(int reason) {
  switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
      return stream_end::not_tls;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return stream_end::certificate_wanted;
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      return stream_end::certificate_refused;
    default:
      return stream_end::broken;
  }
}

class tls final : public byte_stream {
public:
  tls(SSL_CTX* context, std::shared_ptr<std::string> protocols, int socket, bool connects)
      : protocols_(std::move(protocols)), ssl_(SSL_new(context)) {
    auto* const bio = BIO_new(socket_method());
    MILLRACE_ASSERT(ssl_ != nullptr && bio != nullptr);
    state_.socket = socket;
    BIO_set_data(bio, &state_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_app_data(ssl_.get(), protocols_.get());
    connects ? SSL_set_connect_state(ssl_.get()) : SSL_set_accept_state(ssl_.get());
  }

  // What the other end's certificate must be for.
  void expect(const std::string& host) {
    std::array<unsigned char, sizeof(in6_addr)> ignored;
    const bool is_address = ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
                            ::inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
    auto* const wanted = SSL_get0_param(ssl_.get());
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    MILLRACE_ASSERT(is_address
                        ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1
                        : X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size()) == 1 &&
                              SSL_set_tlsext_host_name(ssl_.get(), host.c_str()) == 1);
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

  void finish() override {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    ::shutdown(state_.socket, SHUT_WR);
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
        return over(stream_end::closed, closed);
      default:
        return why_ended();
    }
  }

  stream_step why_ended() {
    if (const auto verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
      return over(end_of_certificate(verified),
                  std::string{"the other end's certificate is refused: "} +
                      X509_verify_cert_error_string(verified));
    }
    if (state_.failure != 0) {
      return over(stream_end::broken, std::strerror(state_.failure));
    }
    const auto code = ERR_peek_error();
    if (code == 0) {
      return over(stream_end::broken, closed);
    }
    return over(end_of_protocol(ERR_GET_REASON(code)), "TLS: " + openssl_reason());
  }

  static stream_step over(stream_end end, std::string why) {
    ERR_clear_error();
    return {.now = stream_step::state::ended, .why = std::move(why), .end = end};
  }

  static constexpr const char* closed = "the other end closed the connection";

  socket_state state_;
  const std::shared_ptr<std::string> protocols_;  // the context may be gone, as after a reload
  ssl_ptr ssl_;
};

// Of what the client offers this server takes the one that it speaks, or refuses (RFC 7301, 3.2).
int choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* size,
                    const unsigned char* offered, unsigned offered_size, void* /*data*/) {
  const auto& own = *static_cast<const std::string*>(SSL_get_app_data(ssl));
  auto* found = const_cast<unsigned char*>(*chosen);
  const auto outcome =
      SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(own.data()),
                            static_cast<unsigned>(own.size()), offered, offered_size);
  *chosen = found;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

class context final : public tls_context {
public:
  context(context_ptr made, const std::string& protocol) : context_(std::move(made)) {
    if (protocol.empty()) {
      return;
    }
    *protocols_ = static_cast<char>(protocol.size()) + protocol;
    const auto* const list = reinterpret_cast<const unsigned char*>(protocols_->data());
    MILLRACE_ASSERT(SSL_CTX_set_alpn_protos(context_.get(), list,
                                            static_cast<unsigned>(protocols_->size())) == 0);
    SSL_CTX_set_alpn_select_cb(context_.get(), choose_protocol, nullptr);
  }

  std::unique_ptr<byte_stream> connecting(int socket, const std::string& host) override {
    auto made = std::make_unique<tls>(context_.get(), protocols_, socket, true);
    if (!host.empty()) {
      made->expect(host);
    }
    return made;
  }
  std::unique_ptr<byte_stream> accepting(int socket) override {
    return std::make_unique<tls>(context_.get(), protocols_, socket, false);
  }

private:
  context_ptr context_;
  const std::shared_ptr<std::string> protocols_ =
      std::make_shared<std::string>();  // each after its length
};

// A key that wants a passphrase is refused: nobody is there to type it.
int no_passphrase(char* /*to*/, int /*size*/, int /*is_written*/, void* /*data*/) {
  return 0;
}

}  // namespace

context_ptr new_tls_context() {
  context_ptr made{SSL_CTX_new(TLS_method())};
  MILLRACE_ASSERT(made != nullptr);
  auto* const raw = made.get();
  ERR_clear_error();
  MILLRACE_ASSERT(SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) == 1);
  // Nothing is resumed by TLS: each connection proves anew who is there.
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(raw, 1);  // several records in one system call
  SSL_CTX_set_default_passwd_cb(raw, no_passphrase);
  return made;
}

std::unique_ptr<tls_context> streams_of(context_ptr made, const std::string& protocol) {
  return std::make_unique<context>(std::move(made), protocol);
}

}  // namespace millrace::runtime
