// SPDX-License-Identifier: MIT
// Secret keyring: how the secrets of projects are sealed before they are stored.
//
// A key is 256 random bits, in a file that the servers of a cluster share and that only their user
// may read: a line of 64 hexadecimal digits each; empty lines and those that start with `#` say
// nothing. The first key seals; all of them open, so that a new one can be put in front while what
// the old one has sealed is still good. `millrace secret key` makes one.
//
// A sealed value is AES-256-GCM (NIST SP 800-38D) with a nonce of its own, bound to the project and
// the name: put elsewhere it does not open. Its form, in bytes:
//
//   1 format (1) | 8 id of the key | 12 nonce | the value | 16 tag
//
// A key's id is the begin of a SHA-256 of it, so it needs no other name. Nonces are random: one key
// seals 2^32 values before two of them are likely to meet.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/runtime/result.h"

namespace millrace::actors {

/// Whose secret it is.
struct secret_owner {
  std::string_view project;
  std::string_view name;
};

/// Threading: any; it does not change.
class secret_keyring {
public:
  using key = std::array<unsigned char, 32>;

  /// Errors: `not_found`; `invalid_argument` for a file that others may read, that has no key or a
  /// line that is none; `storage_failed`. Each names the file, and none what is in it.
  [[nodiscard]] static runtime::result<std::shared_ptr<const secret_keyring>> open(
      const std::filesystem::path& file);

  /// Requires: at least one.
  explicit secret_keyring(std::vector<key> keys);

  /// With the first key, and a fresh nonce.
  [[nodiscard]] std::string seal(std::string_view value, const secret_owner& owner) const;

  /// Errors: `not_found` when no key of these has sealed it, `invalid_argument` when it is damaged
  /// or was sealed for another owner.
  [[nodiscard]] runtime::result<std::string> unseal(std::string_view sealed,
                                                    const secret_owner& owner) const;

  /// A new key, as a line of a key file without its end.
  [[nodiscard]] static std::string make_line();

private:
  std::vector<key> keys_;
};

}  // namespace millrace::actors
