// SPDX-License-Identifier: MIT
#include "secrets/signature.h"

#include <doctest/doctest.h>

#include <string>

namespace millrace::actors {

namespace {

// Its key and content are those of RFC 4231, 4.3.
const std::string content = "what do ya want for nothing?";
const std::string key = "Jefe";
const std::string digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

}  // namespace

TEST_CASE("what is signed is known by its content and its key") {
  CHECK(is_signed(content, "sha256=" + digest, key));
  CHECK(is_signed(content,
                  "sha256=5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843", key));
  CHECK_FALSE(is_signed(content + " ", "sha256=" + digest, key));
  CHECK_FALSE(is_signed(content, "sha256=" + digest, key + "x"));
  CHECK_FALSE(is_signed(content, "sha256=" + digest, {}));
}

TEST_CASE("half a signature, or another kind, is none") {
  CHECK_FALSE(is_signed(content, {}, key));
  CHECK_FALSE(is_signed(content, "sha256=", key));
  CHECK_FALSE(is_signed(content, digest, key));
  CHECK_FALSE(is_signed(content, "sha1=" + digest, key));
  CHECK_FALSE(is_signed(content, "sha256=" + digest.substr(0, 63), key));
  CHECK_FALSE(is_signed(content, "sha256=" + digest + "0", key));
  CHECK_FALSE(is_signed(content, "sha256=" + digest.substr(0, 63) + "0", key));
}

}  // namespace millrace::actors
