// SPDX-License-Identifier: MIT
#include "millrace/actors/callback.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "millrace/actors/name_rule.h"
#include "millrace/actors/run_id.h"
#include "millrace/runtime/assert.h"
#include "secrets/signature.h"

namespace millrace::actors {

namespace {
constexpr std::size_t key_bytes = 32;
constexpr std::size_t run_bytes = 36;
constexpr std::size_t mac_digits = 32;
}  // namespace

std::string make_callback_key() {
  std::string key(key_bytes, '\0');
  const auto drawn =
      ::RAND_priv_bytes(reinterpret_cast<unsigned char*>(key.data()), static_cast<int>(key_bytes));
  MILLRACE_ASSERT(drawn == 1);
  return key;
}

// Names have no slash, so no two places are signed alike.
std::string make_callback_token(const callback_place& place, std::string_view key) {
  return place.run + "." + place.task + "." +
         hmac_sha256(place.run + "/" + place.task, key).substr(0, mac_digits);
}

std::optional<callback_place> callback_place_of(std::string_view token) {
  if (token.size() < run_bytes + 1 + 1 + 1 + mac_digits) {
    return std::nullopt;
  }
  const auto run = token.substr(0, run_bytes);
  const auto task = token.substr(run_bytes + 1, token.size() - run_bytes - 2 - mac_digits);
  return is_run_id(run) && fits(task, name_rule::thing)
             ? std::optional{callback_place{std::string{run}, std::string{task}}}
             : std::nullopt;
}

bool is_same_token(std::string_view given, std::string_view wanted) {
  return given.size() == wanted.size() &&
         ::CRYPTO_memcmp(given.data(), wanted.data(), wanted.size()) == 0;
}

}  // namespace millrace::actors
