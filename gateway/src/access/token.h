// SPDX-License-Identifier: MIT
// Tokens: the texts that people and programs show to be known.
//
// A token is 256 random bits, so its SHA-256 can be stored without salt or stretching: there is
// nothing to guess. Whoever has the text is who it names (RFC 6750).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::gateway {

/// `mr_` and 43 characters of base64url (RFC 4648, 5).
[[nodiscard]] std::string make_token();

/// The same text for the same key of the same sender, who shows `own`: nobody else can tell it. Of
/// another `purpose` it is another one.
[[nodiscard]] std::string make_token(std::string_view own, std::string_view purpose,
                                     std::string_view key);

/// SHA-256 of a text; 32 bytes.
[[nodiscard]] std::string digest_of(std::string_view token);

/// The token in a file: its one line, of 32 to 512 characters that can be seen, without spaces.
/// Errors: `not_found`; `invalid_argument` for anything else, and for a file that anyone on the
/// machine may read or write. The text names the file.
[[nodiscard]] runtime::result<std::string> read_token(const std::filesystem::path& file);

/// Writes a token to a new file that only its owner may read. Errors: `conflict`: there is one of
/// that name; `storage_failed`. The text names the file.
[[nodiscard]] runtime::result<void> write_token(const std::filesystem::path& file,
                                                std::string_view token);

}  // namespace millrace::gateway
