// SPDX-License-Identifier: MIT
#include "millrace/actors/secret_keyring.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "millrace/runtime/assert.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::actors {

namespace fs = std::filesystem;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr char format = 1;
constexpr std::size_t id_bytes = 8;
constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t head_bytes = 1 + id_bytes + nonce_bytes;
constexpr std::size_t file_bytes_max = std::size_t{64} << 10U;  // some nine hundred keys
constexpr std::string_view hex_digits = "0123456789abcdef";

using cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&::EVP_CIPHER_CTX_free)>;

cipher new_cipher() {
  cipher made{::EVP_CIPHER_CTX_new(), &::EVP_CIPHER_CTX_free};
  MILLRACE_ASSERT(made != nullptr);
  return made;
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

// What a sealed value is bound to. Names hold no NUL, so no two owners have the same.
std::string bound_to(const secret_owner& owner) {
  std::string text{"millrace secret"};
  text.append(1, '\0').append(owner.project).append(1, '\0').append(owner.name);
  return text;
}

std::string id_of(const secret_keyring::key& key) {
  std::string hashed{"millrace secret key"};
  hashed.append(reinterpret_cast<const char*>(key.data()), key.size());
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const auto made =
      ::EVP_Digest(hashed.data(), hashed.size(), digest.data(), &size, ::EVP_sha256(), nullptr);
  MILLRACE_ASSERT(made == 1);
  ::OPENSSL_cleanse(hashed.data(), hashed.size());
  return {reinterpret_cast<const char*>(digest.data()), id_bytes};
}

std::optional<secret_keyring::key> key_of(std::string_view line) {
  secret_keyring::key made{};
  if (line.size() != 2 * made.size()) {
    return std::nullopt;
  }
  for (std::size_t at = 0; at < line.size(); ++at) {
    const auto lower = line[at] >= 'A' && line[at] <= 'F' ? line[at] - 'A' + 'a' : line[at];
    const auto digit = hex_digits.find(static_cast<char>(lower));
    if (digit == std::string_view::npos) {
      return std::nullopt;
    }
    made[at / 2] = static_cast<unsigned char>(made[at / 2] * std::size_t{16} + digit);
  }
  return made;
}

error refused(const fs::path& file, const std::string& why) {
  return {errc::invalid_argument, "the key file " + file.string() + ": " + why};
}

// Its owner alone may; of one that root has put there for us, as Kubernetes does, our group too.
bool is_open_to_others(const struct stat& seen) {
  constexpr mode_t of_all = S_IRWXU | S_IRWXG | S_IRWXO;
  const mode_t allowed = seen.st_uid == 0 && ::geteuid() != 0 ? S_IRWXU | S_IRGRP : S_IRWXU;
  return (seen.st_mode & of_all & ~allowed) != 0;
}

result<std::string> read_key_file(const fs::path& file) {
  const runtime::unique_fd opened{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!opened) {
    return errno == ENOENT ? error{errc::not_found, "there is no key file " + file.string() +
                                                        "; make one by `umask 077; millrace "
                                                        "secret key > FILE`"}
                           : refused(file, std::strerror(errno));
  }
  struct stat seen {};
  if (::fstat(opened.get(), &seen) != 0 || !S_ISREG(seen.st_mode)) {
    return refused(file, "is no file");
  }
  if (is_open_to_others(seen)) {
    return refused(file, "others than its owner may read or write it; chmod 600 " + file.string());
  }
  std::string text(file_bytes_max + 1, '\0');
  std::size_t size = 0;
  for (ssize_t got = 1; got != 0 && size < text.size(); size += static_cast<std::size_t>(got)) {
    got = ::read(opened.get(), text.data() + size, text.size() - size);
    if (got < 0) {
      return error{errc::storage_failed, file.string() + ": " + std::strerror(errno)};
    }
  }
  if (size > file_bytes_max) {
    return refused(file, "it has more than 64 KiB");
  }
  text.resize(size);
  return text;
}

}  // namespace

secret_keyring::secret_keyring(std::vector<key> keys) : keys_(std::move(keys)) {
  MILLRACE_ASSERT(!keys_.empty());
}

result<std::shared_ptr<const secret_keyring>> secret_keyring::open(const fs::path& file) {
  const auto text = read_key_file(file);
  if (!text) {
    return text.error();
  }
  std::vector<key> keys;
  std::string_view left{*text};
  for (std::size_t number = 1; !left.empty(); ++number) {
    const auto end = std::min(left.find('\n'), left.size());
    auto line = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    while (line.ends_with('\r') || line.ends_with(' ') || line.ends_with('\t')) {
      line.remove_suffix(1);
    }
    if (line.empty() || line.front() == '#') {
      continue;
    }
    const auto made = key_of(line);
    if (!made) {
      return refused(file, "line " + std::to_string(number) +
                               " is no key, which is 64 hexadecimal digits; `millrace secret key` "
                               "makes one");
    }
    keys.push_back(*made);
  }
  if (keys.empty()) {
    return refused(file, "it has no key; `millrace secret key` makes one");
  }
  return std::shared_ptr<const secret_keyring>{std::make_shared<secret_keyring>(std::move(keys))};
}

std::string secret_keyring::seal(std::string_view value, const secret_owner& owner) const {
  const auto& first = keys_.front();
  std::string sealed(head_bytes + value.size() + tag_bytes, '\0');
  sealed[0] = format;
  sealed.replace(1, id_bytes, id_of(first));
  auto* const bytes = bytes_of(sealed);
  auto* const nonce = bytes + 1 + id_bytes;
  const auto bound = bound_to(owner);
  const auto made = new_cipher();
  int size = 0;
  const auto done =
      ::RAND_bytes(nonce, nonce_bytes) == 1 &&
      ::EVP_EncryptInit_ex(made.get(), ::EVP_aes_256_gcm(), nullptr, first.data(), nonce) == 1 &&
      ::EVP_EncryptUpdate(made.get(), nullptr, &size, bytes_of(bound),
                          static_cast<int>(bound.size())) == 1 &&
      ::EVP_EncryptUpdate(made.get(), bytes + head_bytes, &size, bytes_of(value),
                          static_cast<int>(value.size())) == 1 &&
      ::EVP_EncryptFinal_ex(made.get(), bytes + head_bytes + size, &size) == 1 &&
      ::EVP_CIPHER_CTX_ctrl(made.get(), EVP_CTRL_GCM_GET_TAG, tag_bytes,
                            bytes + head_bytes + value.size()) == 1;
  MILLRACE_ASSERT(done);
  return sealed;
}

result<std::string> secret_keyring::unseal(std::string_view sealed,
                                           const secret_owner& owner) const {
  if (sealed.size() < head_bytes + tag_bytes || sealed[0] != format) {
    return error{errc::invalid_argument, "it is damaged, or a newer version has sealed it"};
  }
  const auto id = sealed.substr(1, id_bytes);
  const auto* const nonce = bytes_of(sealed) + 1 + id_bytes;
  const auto content = sealed.substr(head_bytes, sealed.size() - head_bytes - tag_bytes);
  std::string tag{sealed.substr(sealed.size() - tag_bytes)};
  const auto bound = bound_to(owner);
  for (const auto& one : keys_) {
    if (id_of(one) != id) {
      continue;
    }
    std::string value(content.size(), '\0');
    const auto made = new_cipher();
    int size = 0;
    const auto done =
        ::EVP_DecryptInit_ex(made.get(), ::EVP_aes_256_gcm(), nullptr, one.data(), nonce) == 1 &&
        ::EVP_DecryptUpdate(made.get(), nullptr, &size, bytes_of(bound),
                            static_cast<int>(bound.size())) == 1 &&
        ::EVP_DecryptUpdate(made.get(), bytes_of(value), &size, bytes_of(content),
                            static_cast<int>(content.size())) == 1 &&
        ::EVP_CIPHER_CTX_ctrl(made.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes, tag.data()) == 1 &&
        ::EVP_DecryptFinal_ex(made.get(), bytes_of(value) + size, &size) == 1;
    if (!done) {
      return error{errc::invalid_argument, "it is damaged, or was sealed for another name"};
    }
    return value;
  }
  return error{errc::not_found, "no key of the key file has sealed it"};
}

std::string secret_keyring::make_line() {
  key made{};
  const auto drawn = ::RAND_priv_bytes(made.data(), static_cast<int>(made.size()));
  MILLRACE_ASSERT(drawn == 1);
  std::string line;
  for (const auto each : made) {
    line += hex_digits[each >> 4U];
    line += hex_digits[each & 15U];
  }
  return line;
}

}  // namespace millrace::actors
