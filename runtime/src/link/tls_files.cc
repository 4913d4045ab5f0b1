// SPDX-License-Identifier: MIT
// TLS of the HTTP side: the authorities, certificates and keys that files hold.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "link/tls_stream.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::runtime {
namespace {

error cannot_use(const std::string& file, const std::string& why) {
  return {errc::invalid_argument, "cannot use '" + file + "': " + why};
}

// OpenSSL does not say why it cannot open a file.
result<void> check_file(const std::string& file, bool is_secret) {
  const unique_fd opened{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat seen {};
  if (!opened || ::fstat(opened.get(), &seen) != 0) {
    return cannot_use(file, std::string{std::strerror(errno)} + "; name a file that can be read");
  }
  if (!S_ISREG(seen.st_mode)) {
    return cannot_use(file, "it is no file; name one in PEM");
  }
  if (is_secret && (seen.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return cannot_use(file, "anyone on this machine may read or write it; chmod o= " + file);
  }
  return {};
}

result<void> use_authorities(SSL_CTX* made, const std::string& file) {
  if (auto checked = check_file(file, false); !checked) {
    return checked;
  }
  if (SSL_CTX_load_verify_file(made, file.c_str()) != 1) {
    return cannot_use(file, openssl_reason() + "; it must hold certificates of authorities in PEM");
  }
  return {};
}

result<void> use_pair(SSL_CTX* made, const tls_files& files) {
  for (const auto* file : {&files.certificate, &files.key}) {
    if (auto checked = check_file(*file, file == &files.key); !checked) {
      return checked;
    }
  }
  if (SSL_CTX_use_certificate_chain_file(made, files.certificate.c_str()) != 1) {
    return cannot_use(files.certificate, openssl_reason() + "; it must hold a certificate in PEM");
  }
  if (SSL_CTX_use_PrivateKey_file(made, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const bool is_other = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509;
    const auto why = openssl_reason();
    return cannot_use(files.key, is_other
                                     ? "it is not the key of '" + files.certificate +
                                           "'; name the two that were made together"
                                     : why + "; it must hold a key in PEM, without passphrase");
  }
  if (X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(made))) < 0) {
    return cannot_use(files.certificate, "it has expired; renew it");
  }
  return {};
}

}  // namespace

result<std::unique_ptr<tls_context>> load_server_tls(const tls_files& files,
                                                     const std::string& protocol) {
  auto made = new_tls_context();
  // There may be many connections, most of them idle.
  SSL_CTX_set_mode(made.get(), SSL_MODE_RELEASE_BUFFERS);
  if (const auto used = use_pair(made.get(), files); !used) {
    return used.error();
  }
  if (!files.authorities.empty()) {
    SSL_CTX_set_verify(made.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    if (const auto used = use_authorities(made.get(), files.authorities); !used) {
      return used.error();
    }
  }
  return streams_of(std::move(made), protocol);
}

result<std::unique_ptr<tls_context>> load_client_tls(const tls_files& files,
                                                     const std::string& protocol) {
  auto made = new_tls_context();
  SSL_CTX_set_default_read_buffer_len(made.get(), std::size_t{64} << 10U);
  SSL_CTX_set_verify(made.get(), SSL_VERIFY_PEER, nullptr);
  if (files.authorities.empty()) {
    SSL_CTX_set_default_verify_paths(made.get());
  } else if (const auto used = use_authorities(made.get(), files.authorities); !used) {
    return used.error();
  }
  if (!files.certificate.empty()) {
    if (const auto used = use_pair(made.get(), files); !used) {
      return used.error();
    }
  }
  return streams_of(std::move(made), protocol);
}

}  // namespace millrace::runtime
