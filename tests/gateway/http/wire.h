// SPDX-License-Identifier: MIT
// Raw sockets for the tests: what a well-meant client library would never send.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "http/server.h"
#include "millrace/runtime/clock.h"

namespace millrace::gateway::http {

/// How a test's patience ends: far above what anything takes, on a busy machine too.
inline constexpr std::chrono::seconds patience{60};

/// A client socket to a port of this machine. A read that waits so long fails the test.
class wire {
public:
  /// `from`: an address of this machine to come from; 0: any.
  explicit wire(std::uint16_t port, std::uint32_t from = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{patience.count(), 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(from);
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
  }
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;
  virtual ~wire() { leave(); }

  /// False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = put(bytes);
      if (n <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  void finish_sending() { ::shutdown(socket_, SHUT_WR); }

  void leave() {
    if (socket_ >= 0) {
      ::close(std::exchange(socket_, -1));
    }
  }

  /// Everything until the server closes (or resets).
  std::string read_all() {
    while (fill()) {
    }
    return std::exchange(buffer_, {});
  }

  /// Everything up to and with `mark`; what there is when the server closes first.
  std::string read_until(std::string_view mark) {
    for (;;) {
      if (const auto at = buffer_.find(mark); at != std::string::npos) {
        auto text = buffer_.substr(0, at + mark.size());
        buffer_.erase(0, at + mark.size());
        return text;
      }
      if (!fill()) {
        return std::exchange(buffer_, {});
      }
    }
  }

  /// One answer that has a Content-Length.
  std::string read_answer() {
    auto head = read_until("\r\n\r\n");
    const auto at = head.find("Content-Length: ");
    if (at == std::string::npos) {
      return head;
    }
    const auto size = static_cast<std::size_t>(std::stoul(head.substr(at + 16)));
    while (buffer_.size() < size && fill()) {
    }
    head += buffer_.substr(0, size);
    buffer_.erase(0, size);
    return head;
  }

protected:
  virtual ssize_t put(std::string_view bytes) {
    return despite_signals(
        [&] { return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
  }
  virtual ssize_t get(char* to, std::size_t size) {
    return despite_signals([&] { return ::recv(socket_, to, size, 0); });
  }
  [[nodiscard]] int socket() const { return socket_; }

private:
  // With a limit of time both may be interrupted: by the end of a child of this process, say.
  template <class Call>
  static ssize_t despite_signals(Call&& call) {
    for (;;) {
      const auto n = call();
      if (n >= 0 || errno != EINTR) {
        return n;
      }
    }
  }
  bool fill() {
    char piece[65536];
    const auto n = get(piece, sizeof piece);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      FAIL("the server neither answered nor closed within a minute");
    }
    if (n <= 0) {
      return false;
    }
    buffer_.append(piece, static_cast<std::size_t>(n));
    return true;
  }

  int socket_;
  std::string buffer_;
};

/// Something that another thread hands over.
template <class T>
class slot {
public:
  void put(T value) {
    const std::lock_guard lock{mutex_};
    value_ = std::move(value);
    changed_.notify_all();
  }
  T take() {
    std::unique_lock lock{mutex_};
    REQUIRE(changed_.wait_for(lock, patience, [&] { return value_.has_value(); }));
    T taken = std::move(*value_);
    value_.reset();
    return taken;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> value_;
};

/// A running server.
struct running {
  explicit running(handler target, server_options options = {}, access_log log = {})
      : served(std::move(options), std::move(target), clock, std::move(log)) {
    const auto started = served.start();
    REQUIRE(started);
    port = *started;
  }

  runtime::system_clock clock;
  server served;
  std::uint16_t port = 0;
};

inline void echo(request& asked, reply answer) {
  answer.send(text(200, std::string{to_string(asked.method)} + " " + std::string{asked.path()} +
                            " " + asked.body));
}

inline bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace millrace::gateway::http
