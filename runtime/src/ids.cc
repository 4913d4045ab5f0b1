// SPDX-License-Identifier: MIT
#include "millrace/runtime/ids.h"

#include <xxhash.h>

#include <array>
#include <cstring>

namespace millrace::runtime {
namespace {

// The longest type or group name plus NUL plus key that fits without allocating.
constexpr std::size_t joined_bytes_max = 512;

struct joined {
  std::array<char, joined_bytes_max> bytes;
  std::size_t size;
};

joined join(std::string_view left, std::string_view right) {
  joined out;
  MILLRACE_ASSERT(left.size() + 1 + right.size() <= out.bytes.size());
  std::memcpy(out.bytes.data(), left.data(), left.size());
  out.bytes[left.size()] = '\0';
  std::memcpy(out.bytes.data() + left.size() + 1, right.data(), right.size());
  out.size = left.size() + 1 + right.size();
  return out;
}

// The length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none
// (Unicode 15, table 3-7).
std::size_t utf8_sequence(std::string_view text) {
  const auto at = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const auto continues = [&](std::size_t index, unsigned low = 0x80, unsigned high = 0xbf) {
    return index < text.size() && at(index) >= low && at(index) <= high;
  };
  const unsigned lead = at(0);
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xc2 && lead <= 0xdf) {
    return continues(1) ? 2 : 0;
  }
  if (lead >= 0xe0 && lead <= 0xef) {
    const unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : 0xbf;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const unsigned low = lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

result<void> validate_key(std::string_view key) {
  if (key.empty() || key.size() > actor_key_bytes_max) {
    return error{errc::invalid_argument,
                 "an actor key has 1 to 255 bytes, this one has " + std::to_string(key.size())};
  }
  for (std::size_t at = 0; at < key.size();) {
    const auto length = utf8_sequence(key.substr(at));
    if (length == 0) {
      return error{errc::invalid_argument,
                   "an actor key is UTF-8; byte " + std::to_string(at) + " is not"};
    }
    at += length;
  }
  return {};
}

actor_hash hash_of(std::string_view type, std::string_view key) {
  const auto name = join(type, key);
  const auto hash = XXH3_128bits(name.bytes.data(), name.size);
  return {hash.high64, hash.low64};
}

partition_id partition_of(std::string_view group, std::string_view key, std::string_view delimiter,
                          std::uint16_t partition_count) {
  MILLRACE_ASSERT(partition_count > 0);
  if (!delimiter.empty()) {
    key = key.substr(0, key.find(delimiter));
  }
  const auto name = join(group, key);
  return static_cast<partition_id>(XXH3_64bits(name.bytes.data(), name.size) % partition_count);
}

}  // namespace millrace::runtime
