// SPDX-License-Identifier: MIT
// The refusal of an idempotency key that came with another request before.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "millrace/runtime/error.h"

namespace millrace::runtime {

/// How its text ends, behind the key.
inline constexpr std::string_view other_request_text =
    "' was used with other parameters; use a new key";

/// What a call or request gets whose key came with other parameters before: `conflict`.
[[nodiscard]] inline error other_request(std::string_view key) {
  std::string text{"idempotency key '"};
  text.append(key).append(other_request_text);
  return error{errc::conflict, std::move(text)};
}

/// Whether it is that, made here or by another silo, and not another conflict. The code does not
/// tell: it is older than the question, and travels as a number.
[[nodiscard]] inline bool is_other_request(const error& cause) {
  return cause.code() == errc::conflict && cause.text().ends_with(other_request_text);
}

}  // namespace millrace::runtime
