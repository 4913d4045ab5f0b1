// SPDX-License-Identifier: MIT
#include "access/token.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "millrace/runtime/assert.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::gateway {

namespace fs = std::filesystem;
using runtime::errc;
using runtime::error;
using runtime::result;

namespace {

constexpr std::size_t secret_bytes = 32;
constexpr std::size_t token_bytes_min = 32;
constexpr std::size_t token_bytes_max = 512;
constexpr const char* one_line = "a token is one line of 32 to 512 characters without spaces";

std::string base64url(const std::array<unsigned char, secret_bytes>& bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  unsigned held = 0;
  unsigned bits = 0;
  for (const auto each : bytes) {
    held = held << 8U | each;
    for (bits += 8; bits >= 6; bits -= 6) {
      text += digits[held >> (bits - 6) & 63U];
    }
  }
  text += digits[held << (6 - bits) & 63U];
  return text;
}

error refused(const fs::path& file, const std::string& why) {
  return {errc::invalid_argument, "the token file " + file.string() + ": " + why};
}

bool is_seen(char each) {
  return each > ' ' && each <= '~';
}

}  // namespace

std::string make_token() {
  std::array<unsigned char, secret_bytes> secret{};
  const auto drawn = RAND_bytes(secret.data(), static_cast<int>(secret.size()));
  MILLRACE_ASSERT(drawn == 1);
  return "mr_" + base64url(secret);
}

// HMAC-SHA256 (RFC 2104) by a secret of 128 bits or more is as good as random to who has it not.
std::string make_token(std::string_view own, std::string_view purpose, std::string_view key) {
  const auto content = std::string{purpose}.append(1, '\0').append(key);
  std::array<unsigned char, secret_bytes> secret{};
  unsigned size = 0;
  const auto* const made = ::HMAC(::EVP_sha256(), own.data(), static_cast<int>(own.size()),
                                  reinterpret_cast<const unsigned char*>(content.data()),
                                  content.size(), secret.data(), &size);
  MILLRACE_ASSERT(made != nullptr && size == secret.size());
  return "mr_" + base64url(secret);
}

std::string digest_of(std::string_view token) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const auto made =
      EVP_Digest(token.data(), token.size(), digest.data(), &size, EVP_sha256(), nullptr);
  MILLRACE_ASSERT(made == 1);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

result<std::string> read_token(const fs::path& file) {
  const runtime::unique_fd opened{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (opened.get() < 0) {
    const auto why = errno;
    if (why == ENOENT) {
      return error{errc::not_found, "there is no token file " + file.string()};
    }
    return refused(file, std::strerror(why));
  }
  struct stat seen {};
  if (::fstat(opened.get(), &seen) != 0 || !S_ISREG(seen.st_mode)) {
    return refused(file, "is no file");
  }
  if ((seen.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return refused(file, "anyone on this machine may read or write it; chmod o= " + file.string());
  }
  std::array<char, token_bytes_max + 3> bytes{};
  const auto count = ::read(opened.get(), bytes.data(), bytes.size());
  if (count < 0) {
    return refused(file, std::strerror(errno));
  }
  if (count == static_cast<ssize_t>(bytes.size())) {  // there may be more, of another line
    return refused(file, one_line);
  }
  std::string_view text{bytes.data(), static_cast<std::size_t>(count)};
  while (text.ends_with('\n') || text.ends_with('\r')) {
    text.remove_suffix(1);
  }
  if (text.size() < token_bytes_min || text.size() > token_bytes_max ||
      !std::all_of(text.begin(), text.end(), is_seen)) {
    return refused(file, one_line);
  }
  return std::string{text};
}

result<void> write_token(const fs::path& file, std::string_view token) {
  const runtime::unique_fd made{
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (made.get() < 0) {
    return error{errno == EEXIST ? errc::conflict : errc::storage_failed,
                 file.string() + ": " + std::strerror(errno)};
  }
  const auto line = std::string{token} + "\n";
  if (::write(made.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
      ::fsync(made.get()) != 0) {
    const error failed{errc::storage_failed, file.string() + ": " + std::strerror(errno)};
    ::unlink(file.c_str());
    return failed;
  }
  return {};
}

}  // namespace millrace::gateway
