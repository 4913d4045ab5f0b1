// SPDX-License-Identifier: MIT
#include "link/frame.h"

#include "byte_order.h"
#include "millrace/runtime/assert.h"

namespace millrace::runtime {
namespace {

// The smallest and largest body of a type; {1, 0}: there is no such type.
struct body_limit {
  std::size_t least = 1;
  std::size_t most = 0;
};

constexpr body_limit limit_of(frame_type type) noexcept {
  switch (type) {
    case frame_type::hello:
      return {1, hello_bytes_max};
    case frame_type::goodbye:
      return {0, goodbye_bytes_max};
    case frame_type::alive:
      return {0, 0};
    case frame_type::progress:
      return {sizeof(std::uint64_t), sizeof(std::uint64_t)};
    case frame_type::piece:
      return {1, piece_bytes_max};
    case frame_type::message:
      return {0, piece_bytes_max};
  }
  return {};
}

}  // namespace

void append_frame(std::string& out, const frame& one) {
  MILLRACE_ASSERT(one.body.size() <= limit_of(one.type).most);
  std::array<char, frame_head_bytes> head;
  store_little(head.data(), static_cast<std::uint32_t>(one.body.size()));
  store_little(head.data() + 4, static_cast<std::uint8_t>(one.type));
  store_little(head.data() + 5, static_cast<std::uint8_t>(one.lane));
  store_little(head.data() + 6, one.kind);
  store_little(head.data() + 8, one.number);
  out.append(head.data(), head.size());
  out.append(one.body);
}

result<std::size_t> read_frame(std::string_view bytes, frame& one) {
  if (bytes.size() < frame_head_bytes) {
    return std::size_t{0};
  }
  const auto* at = bytes.data();
  const std::size_t size = load_little<std::uint32_t>(at);
  one.type = static_cast<frame_type>(load_little<std::uint8_t>(at + 4));
  const auto lane = load_little<std::uint8_t>(at + 5);
  const auto limit = limit_of(one.type);
  if (limit.least > limit.most) {
    return error{errc::invalid_argument,
                 "there is no frame of type " + std::to_string(static_cast<unsigned>(one.type))};
  }
  if (lane >= link_lane_count) {
    return error{errc::invalid_argument, "there is no lane " + std::to_string(lane)};
  }
  if (size < limit.least || size > limit.most) {
    return error{errc::invalid_argument, "a frame of type " +
                                             std::to_string(static_cast<unsigned>(one.type)) +
                                             " cannot have " + std::to_string(size) + " bytes"};
  }
  if (bytes.size() - frame_head_bytes < size) {
    return std::size_t{0};
  }
  one.lane = static_cast<link_lane>(lane);
  one.kind = load_little<std::uint16_t>(at + 6);
  one.number = load_little<std::uint64_t>(at + 8);
  one.body = bytes.substr(frame_head_bytes, size);
  return frame_head_bytes + size;
}

}  // namespace millrace::runtime
