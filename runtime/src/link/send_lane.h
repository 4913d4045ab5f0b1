// SPDX-License-Identifier: MIT
// Send lane: the messages of one lane from when they are queued until the other end has them.
//
// They are kept encoded, in blocks of 64 KiB that are written from front to back and dropped from
// the front as their frames are acknowledged: a message costs no allocation of its own, and after a
// reconnect the same bytes are simply written again. What is queued and what is not acknowledged
// yet share one bound; past it `push` refuses, so that a slow receiver is felt by whoever sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "link/lane.h"

namespace millrace::runtime {

/// Threading: one thread at a time. Cost: O(1) a frame for each operation that it passes.
class send_lane {
public:
  /// `bytes_max` bounds the encoded frames that are held.
  send_lane(link_lane lane, std::size_t bytes_max) noexcept : lane_(lane), bytes_max_(bytes_max) {}

  /// What a body takes of the bound.
  [[nodiscard]] static std::size_t cost_of(std::size_t body_bytes) noexcept;

  /// Queues a message. False, and nothing is done, when there is no room for it.
  [[nodiscard]] bool push(std::uint16_t kind, std::string_view body);

  /// Whether there is a frame that the credit allows to be sent.
  [[nodiscard]] bool can_send() const noexcept;

  /// Appends to `out` the next frames that the credit allows, and counts them as sent: `budget`
  /// bytes of them at most, but one at least.
  void take(std::size_t budget, std::string& out);

  /// The other end has the frames up to `number`, and lets `credit` bytes in all be sent. False
  /// when that cannot be.
  [[nodiscard]] bool progress(std::uint64_t number, std::uint64_t credit);

  /// On a new connection of the same session the other end says this; what it has not received is
  /// to be sent again. False when that cannot be.
  [[nodiscard]] bool resume(std::uint64_t received, std::uint64_t credit);

  /// A new session begins. How many messages of the old one were not acknowledged.
  std::uint64_t restart(std::uint64_t credit);

  /// Bytes that are held.
  [[nodiscard]] std::size_t held() const noexcept { return held_; }

private:
  // A place in the blocks: the frame that begins there, or the end.
  struct place {
    std::size_t block = 0;
    std::size_t at = 0;
  };
  [[nodiscard]] std::size_t cost_at(const place& where) const noexcept;
  [[nodiscard]] std::string& block_for(std::size_t bytes);
  void drop_front() noexcept;
  void forget_through(std::uint64_t number);

  link_lane lane_;
  std::size_t bytes_max_;
  std::deque<std::string> blocks_;
  std::string spare_;  // a block that was used up, kept for its memory
  std::size_t held_ = 0;
  place front_;                    // of the first frame that is not acknowledged; block 0
  place next_;                     // of the first one that is not sent
  std::uint64_t acked_ = 0;        // the number of the frame before `front_`
  std::uint64_t sent_ = 0;         // the same of `next_`
  std::uint64_t last_ = 0;         // the number of the last frame that is queued
  std::uint64_t acked_bytes_ = 0;  // of all frames up to `acked_`, in this session
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t credit_ = 0;
};

}  // namespace millrace::runtime
