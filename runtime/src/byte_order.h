// SPDX-License-Identifier: MIT
// Fixed-width integers in the byte orders of the disk contract, and what all of the runtime takes
// for granted of a machine. Nothing else is: integers are copied to where they may lie, whatever
// their alignment, `char` may have a sign or none, and the size of a page is asked for.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace millrace::runtime {

static_assert(std::endian::native == std::endian::little,
              "the disk formats are written with plain copies on little-endian machines");
static_assert(sizeof(std::size_t) == 8,
              "LMDB's files hold words of 64 bits, and its maps do not fit into fewer addresses");

/// Requires: `at` has sizeof(T) bytes.
template <std::unsigned_integral T>
[[nodiscard]] inline T load_little(const char* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <std::unsigned_integral T>
inline void store_little(char* at, T value) noexcept {
  std::memcpy(at, &value, sizeof value);
}

template <std::unsigned_integral T>
inline void append_little(std::string& out, T value) {
  std::array<char, sizeof value> bytes;
  store_little(bytes.data(), value);
  out.append(bytes.data(), bytes.size());
}

/// Most significant byte first, so that keys sort as their numbers do.
template <std::unsigned_integral T>
inline void store_big(char* at, T value) noexcept {
  for (std::size_t index = sizeof value; index-- > 0;) {
    at[index] = static_cast<char>(value & 0xffU);
    value = static_cast<T>(value >> 7U >> 1U);  // in two steps: one byte cannot shift by 8
  }
}

template <std::unsigned_integral T>
[[nodiscard]] inline T load_big(const char* at) noexcept {
  T value = 0;
  for (std::size_t index = 0; index < sizeof value; ++index) {
    value = static_cast<T>((value << 7U << 1U) | static_cast<unsigned char>(at[index]));
  }
  return value;
}

}  // namespace millrace::runtime
