// SPDX-License-Identifier: MIT
// Signatures of what webhooks send, as GitHub and Gitea make them: HMAC-SHA256 (RFC 2104) of the
// body, written `sha256=` and 64 hexadecimal digits.
#pragma once

#include <string>
#include <string_view>

namespace millrace::actors {

/// In hexadecimal digits, in lower case.
[[nodiscard]] std::string hmac_sha256(std::string_view content, std::string_view key);

/// Whether `signature` is that of `content` by `key`. Cost: reads the content; what is compared
/// takes the same time wherever it differs.
[[nodiscard]] bool is_signed(std::string_view content, std::string_view signature,
                             std::string_view key);

}  // namespace millrace::actors
