// SPDX-License-Identifier: MIT
// Receive lane: puts the pieces of one lane together, once each and in order, and grants credit.
//
// The other end may have sent as many bytes as have been released here, and a window more. Whoever
// takes messages releases them when they no longer occupy memory; one who is slow thereby stops the
// sender, whose own queue then fills and says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "link/frame.h"
#include "link/lane.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// What is given back when a message no longer occupies memory.
struct link_receipt {
  link_lane lane = link_lane::system;
  std::size_t cost = 0;
  std::uint64_t session = 0;
};

/// A message that has arrived.
struct link_message {
  link_lane lane = link_lane::system;
  std::uint16_t kind = 0;
  link_receipt receipt;
  bool is_kept = false;  ///< Said by who takes it: it occupies memory until it is released.
  /// The body of a message that came in one piece; it lies in what was read.
  std::string_view in_place;
  /// The body of one that came in several.
  std::string assembled;

  [[nodiscard]] std::string_view body() const noexcept {
    return assembled.empty() ? in_place : std::string_view{assembled};
  }
};

/// Threading: one thread at a time. Cost: O(1) a frame, and a copy of what comes in pieces.
class receive_lane {
public:
  /// Requires: `window` has room for one message of `message_bytes_max`.
  receive_lane(std::size_t window, std::size_t message_bytes_max) noexcept
      : window_(window), message_bytes_max_(message_bytes_max) {}

  /// Takes a piece or message; true when `into` is a message now. Errors: `invalid_argument` for
  /// one that is not the next, is over the credit, or makes its message too large.
  [[nodiscard]] result<bool> take(const frame& one, link_message& into);

  /// So many bytes no longer occupy memory.
  void release(std::size_t cost) noexcept { released_ += cost; }

  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  [[nodiscard]] std::uint64_t credit() const noexcept { return released_ + window_; }

  /// Whether there is progress that the other end has not been told of; whether it is time to.
  [[nodiscard]] bool has_news() const noexcept {
    return received_ != told_received_ || credit() != told_credit_;
  }
  [[nodiscard]] bool is_due() const noexcept {
    return credit() - told_credit_ >= window_ / 4 || arrived_ - told_arrived_ >= window_ / 4;
  }
  void told() noexcept {
    told_received_ = received_;
    told_credit_ = credit();
    told_arrived_ = arrived_;
  }

  /// A new session begins; the other end knows of no credit.
  void restart() noexcept { *this = receive_lane{window_, message_bytes_max_}; }

private:
  std::size_t window_;
  std::size_t message_bytes_max_;
  std::uint64_t received_ = 0;  // the number of the last frame
  std::uint64_t arrived_ = 0;   // bytes of all frames
  std::uint64_t released_ = 0;
  std::uint64_t told_received_ = 0;
  std::uint64_t told_credit_ = 0;
  std::uint64_t told_arrived_ = 0;
  std::string partial_;
  std::size_t partial_cost_ = 0;
};

}  // namespace millrace::runtime
