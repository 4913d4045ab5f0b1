// SPDX-License-Identifier: MIT
// Input buffer: what has been read of a connection and not yet understood.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::gateway::http {

/// Bytes that go in behind and out in front. It starts at what a request of a program needs and
/// grows to its bound; bodies do not pass through it whole.
class input_buffer {
public:
  explicit input_buffer(std::size_t bytes_max) : bytes_max_(bytes_max) { bytes_.resize(initial); }

  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::string_view unread() const noexcept {
    return {bytes_.data() + begin_, end_ - begin_};
  }

  /// Makes room behind. False when it is full of what has not been taken.
  bool make_room() {
    if (begin_ == end_) {
      begin_ = end_ = 0;
    } else if (end_ == bytes_.size() && begin_ > 0) {
      std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    }
    if (end_ == bytes_.size() && bytes_.size() < bytes_max_) {
      bytes_.resize(std::min(bytes_max_, bytes_.size() * 2));
    }
    return end_ < bytes_.size();
  }

  /// The room behind; what was written there is `added`.
  [[nodiscard]] char* room() noexcept { return bytes_.data() + end_; }
  [[nodiscard]] std::size_t room_size() const noexcept { return bytes_.size() - end_; }
  void added(std::size_t count) noexcept { end_ += count; }

  void take(std::size_t count) noexcept { begin_ += count; }
  void clear() noexcept { begin_ = end_ = 0; }

private:
  static constexpr std::size_t initial = 4096;

  std::size_t bytes_max_;
  std::string bytes_;  // its size is its capacity
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace millrace::gateway::http
