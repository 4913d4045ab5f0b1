// SPDX-License-Identifier: MIT
#include "millrace/runtime/certificates.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

#include "link/openssl.h"
#include "millrace/runtime/unique_fd.h"
#include "storage/files.h"

namespace millrace::runtime {
namespace {

// Clocks of other machines may be behind.
constexpr std::chrono::hours clock_slack{1};

// Of an authority or certificate in PEM.
constexpr std::size_t pem_bytes_max = std::size_t{64} << 10U;

error failed_in_openssl(const std::string& what) {
  return {errc::internal, "cannot make " + what + ": " + openssl_reason()};
}

// Writes a file that must not exist yet.
result<void> write_new(const std::string& path, std::string_view contents) {
  const unique_fd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (!file && errno == EEXIST) {
    return error{errc::conflict, path + " exists already; move it away, or name another directory"};
  }
  if (!file) {
    return file_error(errno, "cannot make", path);
  }
  while (!contents.empty()) {
    const auto count = ::write(file.get(), contents.data(), contents.size());
    if (count < 0 && errno != EINTR) {
      return file_error(errno, "cannot write", path);
    }
    contents.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
  return ::fsync(file.get()) == 0 ? result<void>{} : file_error(errno, "cannot sync", path);
}

template <class Write>
std::string pem_of(Write&& write) {
  const bio_ptr memory{BIO_new(BIO_s_mem())};
  if (!memory || write(memory.get()) != 1) {
    return {};
  }
  char* text = nullptr;
  const auto size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

// The key first: a certificate without its key would only be in the way.
result<certificate_files> write_both(const std::string& stem, X509* certificate, EVP_PKEY* key) {
  const auto key_text = pem_of([&](BIO* to) {
    return PEM_write_bio_PrivateKey(to, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  const auto text = pem_of([&](BIO* to) { return PEM_write_bio_X509(to, certificate); });
  if (key_text.empty() || text.empty()) {
    return failed_in_openssl("PEM");
  }
  certificate_files files{stem + ".pem", stem + ".key"};
  if (::access(files.certificate.c_str(), F_OK) == 0) {
    return error{errc::conflict,
                 files.certificate + " exists already; move it away, or name another directory"};
  }
  if (const auto written = write_new(files.key, key_text); !written) {
    return written.error();
  }
  if (const auto written = write_new(files.certificate, text); !written) {
    ::unlink(files.key.c_str());
    return written.error();
  }
  return files;
}

bool add_extension(X509* to, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const openssl_ptr<X509_EXTENSION, X509_EXTENSION_free> made{
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str())};
  return made && X509_add_ext(to, made.get(), -1) == 1;
}

std::time_t seconds_of(wall_time at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

// A certificate without extensions and signature.
x509_ptr draft(const std::string& name, EVP_PKEY* key, const X509_NAME* issuer, wall_time begin,
               wall_time end) {
  x509_ptr made{X509_new()};
  std::array<unsigned char, 16> serial{};
  if (!made || RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) {
    return nullptr;
  }
  serial[0] = (serial[0] & 0x7fU) | 0x40U;  // positive, and always as long
  const openssl_ptr<BIGNUM, BN_free> number{
      BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr)};
  auto* const subject = X509_get_subject_name(made.get());
  const auto* const text = reinterpret_cast<const unsigned char*>(name.data());
  const bool is_made =
      number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(made.get())) != nullptr &&
      X509_set_version(made.get(), X509_VERSION_3) == 1 &&
      ASN1_TIME_set(X509_getm_notBefore(made.get()), seconds_of(begin)) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(made.get()), seconds_of(end)) != nullptr &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, static_cast<int>(name.size()),
                                 -1, 0) == 1 &&
      X509_set_issuer_name(made.get(), issuer == nullptr ? subject : issuer) == 1 &&
      X509_set_pubkey(made.get(), key) == 1;
  return is_made ? std::move(made) : nullptr;
}

// As an entry of the alternative names; empty for what is none.
std::string name_entry(const std::string& address) {
  std::array<unsigned char, sizeof(in6_addr)> ignored;
  if (::inet_pton(AF_INET, address.c_str(), ignored.data()) == 1 ||
      ::inet_pton(AF_INET6, address.c_str(), ignored.data()) == 1) {
    return "IP:" + address;
  }
  const auto is_allowed = [](char each) { return is_link_name({&each, 1}) && each != '_'; };
  if (address.empty() || address.size() > 253 ||
      !std::all_of(address.begin(), address.end(), is_allowed)) {
    return {};
  }
  return "DNS:" + address;
}

result<std::string> alternative_names(const certificate_request& request) {
  auto names = "DNS:" + request.name.certificate_name();
  for (const auto& each : request.addresses) {
    const auto entry = name_entry(each);
    // Who may ask for any address must not thereby become somebody else.
    if (entry.empty() || each.ends_with(".millrace")) {
      return error{errc::invalid_argument, "'" + each + "' is no address or host name"};
    }
    names += "," + entry;
  }
  return names;
}

result<void> check_length(std::chrono::days valid_for) {
  if (valid_for < std::chrono::days{1} || valid_for > valid_for_max) {
    return error{errc::invalid_argument, "a certificate is valid for 1 to " +
                                             std::to_string(valid_for_max.count()) + " days"};
  }
  return {};
}

struct authority {
  x509_ptr certificate;
  key_ptr key;
};

error no_authority(const std::string& directory) {
  return {errc::not_found, "there is no authority in '" + directory +
                               "'; `millrace pki init --directory " + directory + "` makes one"};
}

result<authority> read_authority(const std::string& directory) {
  authority read;
  for (const auto* name : {"/ca.pem", "/ca.key"}) {
    const auto path = directory + name;
    const auto text = read_file(path, pem_bytes_max, links::followed);
    if (!text) {
      return text.error().code() == errc::not_found ? no_authority(directory) : text.error();
    }
    const bio_ptr memory{BIO_new_mem_buf(text->data(), static_cast<int>(text->size()))};
    if (read.certificate == nullptr) {
      read.certificate.reset(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    } else {
      read.key.reset(PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr));
    }
    if (read.certificate == nullptr || (path.ends_with(".key") && read.key == nullptr)) {
      return error{errc::invalid_argument, "cannot read " + path + ": " + openssl_reason()};
    }
  }
  if (X509_check_private_key(read.certificate.get(), read.key.get()) != 1) {
    ERR_clear_error();
    return error{errc::invalid_argument,
                 "ca.pem and ca.key in '" + directory + "' do not belong together"};
  }
  return read;
}

std::optional<wall_time> end_of(const X509* certificate) {
  std::tm parts{};
  return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) == 1
             ? std::optional{wall_time{std::chrono::seconds{::timegm(&parts)}}}
             : std::nullopt;
}

// Later than the certificate's end; `limit` when it ends before that.
result<wall_time> end_within(const X509* issuer, wall_time now, std::chrono::days valid_for) {
  const auto last = end_of(issuer);
  if (!last) {
    return failed_in_openssl("sense of the authority's end");
  }
  if (*last <= now) {
    return error{errc::failed_precondition, "the authority has expired; make a new one"};
  }
  return std::min(*last, now + valid_for);
}

}  // namespace

result<certificate_files> make_authority(const std::string& directory, std::chrono::days valid_for,
                                         wall_time now) {
  if (const auto checked = check_length(valid_for); !checked) {
    return checked.error();
  }
  if (const auto made = make_directory(directory); !made) {
    return made.error();
  }
  const key_ptr key{EVP_EC_gen("P-256")};
  const auto made =
      draft("millrace cluster authority", key.get(), nullptr, now - clock_slack, now + valid_for);
  if (!made ||
      !add_extension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign") ||
      !add_extension(made.get(), made.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(made.get(), key.get(), EVP_sha256()) == 0) {
    return failed_in_openssl("the authority");
  }
  return write_both(directory + "/ca", made.get(), key.get());
}

result<certificate_files> issue_certificate(const std::string& directory,
                                            const certificate_request& request, wall_time now) {
  if (!is_link_name(request.name.name)) {
    return error{errc::invalid_argument, "'" + request.name.name +
                                             "' is no name: it must be 1 to 64 letters, digits "
                                             "and any of -_."};
  }
  const auto names = alternative_names(request);
  if (!names) {
    return names.error();
  }
  if (const auto checked = check_length(request.valid_for); !checked) {
    return checked.error();
  }
  const auto issuer = read_authority(directory);
  if (!issuer) {
    return issuer.error();
  }
  auto* const authority = issuer->certificate.get();
  const auto end = end_within(authority, now, request.valid_for);
  if (!end) {
    return end.error();
  }
  const key_ptr key{EVP_EC_gen("P-256")};
  const auto made = draft(request.name.to_string().substr(0, 64), key.get(),
                          X509_get_subject_name(authority), now - clock_slack, *end);
  if (!made || !add_extension(made.get(), authority, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(made.get(), authority, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(made.get(), authority, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(made.get(), authority, NID_subject_alt_name, *names) ||
      !add_extension(made.get(), authority, NID_authority_key_identifier, "keyid:always") ||
      X509_sign(made.get(), issuer->key.get(), EVP_sha256()) == 0) {
    return failed_in_openssl("the certificate");
  }
  return write_both(directory + "/" + request.name.to_string(), made.get(), key.get());
}

result<wall_time> end_of_certificates(const std::string& file) {
  ERR_clear_error();
  const bio_ptr opened{BIO_new_file(file.c_str(), "r")};
  std::optional<wall_time> first;
  while (opened) {
    const x509_ptr each{PEM_read_bio_X509(opened.get(), nullptr, nullptr, nullptr)};
    const auto end = each ? end_of(each.get()) : std::nullopt;
    if (!end) {
      break;
    }
    first = std::min(first.value_or(*end), *end);
  }
  const auto why = openssl_reason();  // also of the end of the file
  return first
             ? result<wall_time>{*first}
             : error{errc::invalid_argument, "cannot read certificates in '" + file + "': " + why};
}

}  // namespace millrace::runtime
