// SPDX-License-Identifier: MIT
// What a sender signs a webhook's body with.
#pragma once

#include <doctest/doctest.h>
#include <openssl/hmac.h>

#include <array>
#include <string>

namespace millrace::gateway::http {

/// `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.
inline std::string webhook_signature(const std::string& body, const std::string& key) {
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  REQUIRE(::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
                 reinterpret_cast<const unsigned char*>(body.data()), body.size(), digest.data(),
                 &size) != nullptr);
  std::string text = "sha256=";
  for (const auto each : digest) {
    text += "0123456789abcdef"[each >> 4U];
    text += "0123456789abcdef"[each & 15U];
  }
  return text;
}

}  // namespace millrace::gateway::http
