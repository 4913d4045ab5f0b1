// SPDX-License-Identifier: MIT
// Key filter: tells of a key for certain that it was never added.
//
// A Bloom filter whose bits for one key lie in one word (Putze, Sanders and Singler, "Cache-, Hash-
// and Space-Efficient Bloom Filters", WEA 2007), in layers: it grows without knowing its keys.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace::runtime::detail {

/// Threading: not thread-safe.
/// Cost: about three bytes a key, one word looked at in each layer; about one key in a hundred that
/// was not added is taken for one that was.
class key_filter {
public:
  /// With so many no layer (of 512 KiB) is added: at a million and a half keys. Then it gets worse.
  static constexpr std::size_t bytes_max = std::size_t{4} << 20U;

  /// `hash`: 64 good bits of a key.
  void add(std::uint64_t hash) {
    if (may_have(hash)) {
      return;
    }
    if (layers_.empty() ||
        (layers_.back().keys == keys_a_word * layers_.back().words.size() && bytes_ < bytes_max)) {
      const auto words =
          layers_.empty() ? words_first : std::min(4 * layers_.back().words.size(), words_max);
      layers_.push_back({std::vector<std::uint64_t>(words), 0});
      bytes_ += words * sizeof(std::uint64_t);
    }
    auto& last = layers_.back();
    last.words[place_of(hash, last)] |= bits_of(hash);
    ++last.keys;
  }

  /// False: it was not added.
  [[nodiscard]] bool may_have(std::uint64_t hash) const noexcept {
    const auto bits = bits_of(hash);
    return std::any_of(layers_.begin(), layers_.end(), [&](const layer& one) {
      return (one.words[place_of(hash, one)] & bits) == bits;
    });
  }

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
  struct layer {
    std::vector<std::uint64_t> words;
    std::size_t keys;
  };
  static constexpr std::size_t keys_a_word = 3;
  static constexpr std::size_t words_first = 16;
  static constexpr std::size_t words_max = std::size_t{64} << 10U;

  // Of 64 bits the upper half chooses the word, and the lower 30 five bits of it.
  [[nodiscard]] static std::size_t place_of(std::uint64_t hash, const layer& in) noexcept {
    return static_cast<std::size_t>(((hash >> 32U) * in.words.size()) >> 32U);
  }
  [[nodiscard]] static std::uint64_t bits_of(std::uint64_t hash) noexcept {
    constexpr std::uint64_t one = 1;
    return one << (hash & 63U) | one << (hash >> 6U & 63U) | one << (hash >> 12U & 63U) |
           one << (hash >> 18U & 63U) | one << (hash >> 24U & 63U);
  }

  std::vector<layer> layers_;
  std::size_t bytes_ = 0;
};

}  // namespace millrace::runtime::detail
