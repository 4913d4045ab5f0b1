// SPDX-License-Identifier: MIT
// A file descriptor that is closed with its owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace millrace::runtime {

/// Ownership: moves with it; none if below 0.
class unique_fd {
public:
  unique_fd() = default;
  /// Owns `fd`, or nothing if it is below 0.
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  /// Takes over what `other` owns.
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  /// As above; what it owned is closed with `other`.
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  unique_fd(const unique_fd&) = delete;
  unique_fd& operator=(const unique_fd&) = delete;
  ~unique_fd() { reset(); }

  /// The descriptor; below 0: none.
  [[nodiscard]] int get() const noexcept { return fd_; }
  /// Whether it owns one.
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Closes what it owns.
  void reset() noexcept {
    if (fd_ >= 0) {
      ::close(std::exchange(fd_, -1));
    }
  }

private:
  int fd_ = -1;
};

}  // namespace millrace::runtime
