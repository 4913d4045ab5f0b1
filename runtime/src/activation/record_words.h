// SPDX-License-Identifier: MIT
// The words of a record as they lie in a row: raw, or compressed when they are many.
//
// A value of a root or map row ends with them. Whether they are compressed (one zstd frame, which
// says its content's size) stands in the highest bit of the version that the value starts with, so
// rows from before there was compression are read as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/runtime/storage.h"

namespace millrace::runtime::detail {

/// The most bytes of words in one record; a row's value less its version and the longest id.
inline constexpr std::size_t record_bytes_max = row_value_bytes_max - 1024;

/// From this size on words are compressed. LMDB keeps values up to about half a page among others
/// and gives larger ones pages of their own; below that, compressing (6 us for 2 KB of records of
/// a task, which become a fifth; 3 us back) saves no page and costs as much as the rest of a call.
inline constexpr std::size_t compressed_from_bytes = 2048;

inline constexpr std::uint64_t compressed_flag = std::uint64_t{1} << 63U;

/// Appends `flat` to `value`, which starts with a version; compressed if that saves an eighth.
void append_words(std::string& value, std::string_view flat);

/// The words of a compressed record. Nothing when `frame` is damaged or holds more than
/// `record_bytes_max` or no whole words; no memory is taken before that is known.
[[nodiscard]] std::optional<std::string> decompress_words(std::string_view frame);

}  // namespace millrace::runtime::detail
