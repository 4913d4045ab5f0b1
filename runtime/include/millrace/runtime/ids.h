// SPDX-License-Identifier: MIT
// Names of actors and the partitions they belong to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// A slice of the actor id space; 0 to partition_count - 1.
enum class partition_id : std::uint16_t {};

/// How many partitions a cluster has unless its creator says otherwise; fixed at creation.
inline constexpr std::uint16_t partition_count_default = 256;

/// The longest key: a key and its type fit an index row beside the 16-byte hash.
inline constexpr std::size_t actor_key_bytes_max = 255;

/// The name of one virtual actor: `type/key`.
struct actor_id {
  std::string type;  ///< The actor type's name from its schema: lower-case words.
  std::string key;   ///< 1 to 255 bytes of UTF-8.

  /// `type/key`.
  [[nodiscard]] std::string to_string() const { return type + "/" + key; }
  friend bool operator==(const actor_id&, const actor_id&) = default;
  friend auto operator<=>(const actor_id&, const actor_id&) = default;
};

/// Checks a key: length and UTF-8. Errors: `invalid_argument`.
[[nodiscard]] result<void> validate_key(std::string_view key);

/// 128 bits that stand for an actor in storage keys and in the directory (XXH3-128, seed 0, of
/// `type` NUL `key`). Part of the disk contract.
struct actor_hash {
  std::uint64_t high;  ///< The first eight bytes of the canonical form.
  std::uint64_t low;   ///< The last eight.
  friend bool operator==(const actor_hash&, const actor_hash&) = default;
  friend auto operator<=>(const actor_hash&, const actor_hash&) = default;
};

/// The hash of an actor's name.
[[nodiscard]] actor_hash hash_of(std::string_view type, std::string_view key);

/// The partition of an actor: XXH3-64 (seed 0) of `group` NUL `affinity key`, modulo the count.
/// The affinity key is the part of `key` before the first `delimiter`; the whole key when the
/// delimiter is empty or absent. Part of the disk and wire contract.
[[nodiscard]] partition_id partition_of(std::string_view group, std::string_view key,
                                        std::string_view delimiter, std::uint16_t partition_count);

}  // namespace millrace::runtime
