// SPDX-License-Identifier: MIT
// A part of a test that runs in a process of its own.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>

namespace millrace::testing {

/// How a test's patience ends: far above what anything takes.
inline constexpr int patience_ms = 30'000;

/// Lines from a child to its parent.
class line_pipe {
public:
  line_pipe() { REQUIRE(::pipe2(ends_.data(), O_CLOEXEC) == 0); }
  line_pipe(const line_pipe&) = delete;
  line_pipe& operator=(const line_pipe&) = delete;
  ~line_pipe() {
    ::close(ends_[0]);
    close_writer();
  }
  void close_writer() {
    if (ends_[1] >= 0) {
      ::close(ends_[1]);
      ends_[1] = -1;
    }
  }
  /// Whole or not at all, whatever kills the writer.
  void write(const std::string& line) const {
    const auto text = line + "\n";
    [[maybe_unused]] const auto written = ::write(ends_[1], text.data(), text.size());
  }
  /// The next line; empty at the end. Fails the test when it does not come.
  std::string read() {
    for (;;) {
      if (const auto end = buffer_.find('\n'); end != std::string::npos) {
        auto line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return line;
      }
      pollfd readable{ends_[0], POLLIN, 0};
      REQUIRE(::poll(&readable, 1, patience_ms) > 0);
      std::array<char, 4096> piece{};
      const auto size = ::read(ends_[0], piece.data(), piece.size());
      if (size <= 0) {
        return {};
      }
      buffer_.append(piece.data(), static_cast<std::size_t>(size));
    }
  }

private:
  std::array<int, 2> ends_{-1, -1};
  std::string buffer_;
};

/// Runs `body` in a child, and gives what it says line by line. Killed when destroyed.
class child {
public:
  using says = std::function<void(const std::string&)>;

  explicit child(const std::function<void(const says&)>& body) {
    const auto parent = ::getpid();
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() == parent) {
        body([this](const std::string& line) { lines_.write(line); });
      }
      ::_exit(0);
    }
    lines_.close_writer();
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() {
    if (pid_ > 0) {
      signal(SIGKILL);
      wait();
    }
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  std::string read() { return lines_.read(); }
  void signal(int number) const { ::kill(pid_, number); }

  /// Until it is stopped.
  void wait_stopped() const {
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, WUNTRACED) == pid_);
    REQUIRE(WIFSTOPPED(status));
  }
  /// Its status, as of waitpid. Fails the test when it does not end.
  int wait() {
    pollfd end{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)), POLLIN, 0};
    const bool has_ended = ::poll(&end, 1, patience_ms) > 0;
    ::close(end.fd);
    REQUIRE(has_ended);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

private:
  line_pipe lines_;
  pid_t pid_ = -1;
};

}  // namespace millrace::testing
