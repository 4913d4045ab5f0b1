// SPDX-License-Identifier: MIT
// Times as RFC 3339 texts in UTC; nanoseconds since 1970.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::runtime {

/// `2026-01-31T08:00:00Z`, with as many digits of a second as it needs (3, 6 or 9).
void append_rfc3339(std::string& out, std::int64_t nanoseconds);

/// Nothing for a text that is no such time, or outside what 64 bits of nanoseconds hold. Offsets
/// other than `Z` are accepted.
[[nodiscard]] std::optional<std::int64_t> from_rfc3339(std::string_view text);

}  // namespace millrace::runtime
