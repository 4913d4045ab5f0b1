// SPDX-License-Identifier: MIT
// What JSON writes and YAML does not read: characters beyond U+FFFF as two escapes.
#pragma once

#include <string>
#include <string_view>

namespace millrace::actors {

/// Whether `text` holds `\ud83d\ude00` or the like and is JSON, so that `join_surrogates` helps.
[[nodiscard]] bool has_surrogates(std::string_view text);

/// Writes each pair of surrogate escapes as the one escape of YAML, `\U0001f600`.
///
/// The spaces that are won go behind the closing quote, so that what follows keeps its column.
/// Requires: `text` is JSON.
[[nodiscard]] std::string join_surrogates(std::string_view text);

}  // namespace millrace::actors
