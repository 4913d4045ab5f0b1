// SPDX-License-Identifier: MIT
#include "secrets/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <string>

#include "millrace/runtime/assert.h"

namespace millrace::actors {

namespace {

constexpr std::string_view prefix = "sha256=";
constexpr std::string_view digits = "0123456789abcdef";

}  // namespace

std::string hmac_sha256(std::string_view content, std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const auto* const made = ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                  reinterpret_cast<const unsigned char*>(content.data()),
                                  content.size(), digest.data(), &size);
  MILLRACE_ASSERT(made != nullptr);
  std::string text;
  for (unsigned at = 0; at < size; ++at) {
    text += digits[digest[at] >> 4U];
    text += digits[digest[at] & 15U];
  }
  return text;
}

bool is_signed(std::string_view content, std::string_view signature, std::string_view key) {
  const auto wanted = std::string{prefix} + hmac_sha256(content, key);
  std::string given{signature};
  for (auto& each : given) {
    each = each >= 'A' && each <= 'F' ? static_cast<char>(each - 'A' + 'a') : each;
  }
  return given.size() == wanted.size() &&
         ::CRYPTO_memcmp(given.data(), wanted.data(), wanted.size()) == 0;
}

}  // namespace millrace::actors
