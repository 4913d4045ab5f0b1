// SPDX-License-Identifier: MIT
// Base64 (RFC 4648, section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace::runtime {

void append_base64(std::string& out, std::string_view bytes);

/// Nothing for a text that is no base64 with padding.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace millrace::runtime
