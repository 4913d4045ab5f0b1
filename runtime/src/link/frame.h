// SPDX-License-Identifier: MIT
// Frame: the unit of what runs over a link.
//
// Encoding (little endian), part of the wire contract for all versions:
//   u32 size of the body, u8 type, u8 lane, u16 kind, u64 number, body.
// Each type has its own limit of the body, which is checked as soon as the head is there: whoever
// reads needs room for one head and one piece, whatever the other end claims.
//
// A message is cut into pieces of at most `piece_bytes_max`, so that no message, however large,
// keeps the messages of other lanes waiting for longer than a piece takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "link/lane.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

enum class frame_type : std::uint8_t {
  hello = 1,     ///< `LinkHello` (schemas/millrace/link.capnp). The first one of each end.
  goodbye = 2,   ///< The last one; its body says why, in words.
  alive = 3,     ///< Nothing, so that there is something to hear.
  progress = 4,  ///< Of a lane: frames up to `number` have arrived; body: u64 credit, as in hello.
  piece = 5,     ///< The `number`-th frame of a lane; the message goes on in the next one.
  message = 6,   ///< The same; the message ends here.
};

inline constexpr std::size_t frame_head_bytes = 16;
/// 64 KiB with its head: 50 us of a 10 Gbit/s line.
inline constexpr std::size_t piece_bytes_max = (std::size_t{64} << 10U) - frame_head_bytes;
inline constexpr std::size_t hello_bytes_max = 4096;
inline constexpr std::size_t goodbye_bytes_max = 512;
/// What a reader needs at most to see a whole frame.
inline constexpr std::size_t frame_bytes_max = frame_head_bytes + piece_bytes_max;

/// A frame; the body lies elsewhere.
struct frame {
  frame_type type = frame_type::alive;
  link_lane lane = link_lane::system;
  std::uint16_t kind = 0;    ///< Of pieces and messages: the sender's word for what the body is.
  std::uint64_t number = 0;  ///< See the types.
  std::string_view body = {};

  /// What it takes of its lane's credit and queue.
  [[nodiscard]] std::size_t cost() const noexcept { return frame_head_bytes + body.size(); }
};

/// Appends the encoding. Requires: the body is within the limit of the type.
void append_frame(std::string& out, const frame& one);

/// Reads the frame at the front of `bytes` into `one`, whose body points there, and gives its
/// length; 0 while it is not all there. Errors: `invalid_argument` for a head that cannot be, at
/// once. Cost: O(1); allocates nothing but the error.
[[nodiscard]] result<std::size_t> read_frame(std::string_view bytes, frame& one);

}  // namespace millrace::runtime
