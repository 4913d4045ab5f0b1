// SPDX-License-Identifier: MIT
// A file descriptor that is closed with its owner.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace millrace::actors::process_detail {

class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  unique_fd(const unique_fd&) = delete;
  unique_fd& operator=(const unique_fd&) = delete;
  ~unique_fd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) {
      ::close(std::exchange(fd_, -1));
    }
  }

private:
  int fd_ = -1;
};

/// Opens with O_CLOEXEC and never as 0, 1 or 2, which a child replaces. errno tells of a failure.
inline unique_fd open_file(const char* path, int flags, mode_t mode = 0) {
  unique_fd file{::open(path, flags | O_CLOEXEC, mode)};
  if (file && file.get() <= STDERR_FILENO) {
    return unique_fd{::fcntl(file.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
  }
  return file;
}

}  // namespace millrace::actors::process_detail
