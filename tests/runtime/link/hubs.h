// SPDX-License-Identifier: MIT
// Hubs on this machine, and what they tell their owners.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "folders.h"
#include "link/frame.h"
#include "link/link_hub.h"
#include "millrace/runtime/certificates.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::runtime::testing {

/// An authority, and what it issues.
class pki {
public:
  explicit pki(wall_time now = system_clock{}.wall()) : now_(now) {
    REQUIRE(make_authority(directory(), authority_valid_for, now));
  }

  /// Credentials of `name`, issued if need be.
  link_credentials of(const link_name& name) {
    const auto stem = directory() + "/" + name.to_string();
    if (!std::filesystem::exists(stem + ".pem")) {
      REQUIRE(issue_certificate(directory(), {.name = name}, now_));
    }
    return {directory() + "/ca.pem", stem + ".pem", stem + ".key"};
  }

  [[nodiscard]] std::string directory() const { return folder_.path.string(); }

private:
  millrace::testing::temporary_folder folder_;
  wall_time now_;
};

/// Keeps what a hub tells; waits for it.
class witness final : public link_events {
public:
  void link_up(const std::shared_ptr<peer_link>& link, std::uint64_t incarnation) override {
    note("up " + link->peer().to_string() + " " + std::to_string(incarnation));
  }
  void link_down(const std::shared_ptr<peer_link>& link, std::string_view why) override {
    note("down " + link->peer().to_string() + ": " + std::string{why});
  }
  void session_ended(const std::shared_ptr<peer_link>& link, std::uint64_t lost) override {
    note("ended " + link->peer().to_string() + " " + std::to_string(lost));
  }
  void received(const std::shared_ptr<peer_link>& link, std::span<link_message> messages) override {
    for (auto& each : messages) {
      on_message ? on_message(link, each) : note("message " + std::string{each.body()});
    }
  }
  void refused(std::string_view /*address*/, std::string_view why) override {
    note("refused: " + std::string{why});
  }

  void note(std::string what) {
    const std::lock_guard lock{mutex_};
    told_.push_back(std::move(what));
    changed_.notify_all();
  }

  /// Waits for something told that begins so, removes it and what was told before, and gives it.
  std::string next(const std::string& beginning) {
    std::unique_lock lock{mutex_};
    std::size_t at = 0;
    const bool found = changed_.wait_for(lock, std::chrono::seconds{20}, [&] {
      for (; at < told_.size(); ++at) {
        if (told_[at].starts_with(beginning)) {
          return true;
        }
      }
      return false;
    });
    if (!found) {
      std::string all;
      for (const auto& each : told_) {
        all += "\n  " + each;
      }
      FAIL("nobody told '" << beginning << "' within 20 s, but" << all);
    }
    auto text = told_[at];
    told_.erase(told_.begin(), told_.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    return text;
  }

  std::function<void(const std::shared_ptr<peer_link>&, link_message&)> on_message;

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> told_;
};

inline link_options options_of(const link_name& name) {
  return {.self = {.cluster_id = "c", .name = name},
          .listen_address = name.role == link_role::silo ? "127.0.0.1" : ""};
}
inline link_options silo_options(const char* name) {
  return options_of({link_role::silo, name});
}

/// A hub that runs.
struct running_hub {
  explicit running_hub(link_options options) : hub(std::move(options), events, time, rng{7}) {
    const auto started = hub.start();
    if (!started) {
      FAIL(started.error().text());
    }
    port = *started;
  }
  std::shared_ptr<peer_link> open(const char* silo, std::uint16_t at) {
    auto link = hub.open({link_role::silo, silo}, "127.0.0.1", at);
    REQUIRE(link);
    return *std::move(link);
  }

  system_clock time;
  witness events;
  link_hub hub;
  std::uint16_t port = 0;
};

/// A socket to a port of this machine, or one that somebody connected to.
class raw_socket {
public:
  explicit raw_socket(std::uint16_t port, std::uint32_t from = INADDR_LOOPBACK)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    limit();
    auto own = loopback(0);
    own.sin_addr.s_addr = htonl(from);
    REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) == 0);
    auto where = loopback(port);
    REQUIRE(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
  }
  explicit raw_socket(unique_fd taken) : socket_(std::move(taken)) { limit(); }

  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return where;
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  /// The next frame; its body stays until the next call. A goodbye at the end, also of a reset.
  frame next() {
    in_.erase(0, used_);
    used_ = 0;
    for (;;) {
      frame one;
      const auto size = read_frame(in_, one);
      REQUIRE(size);
      if (*size > 0) {
        used_ = *size;
        return one;
      }
      std::string piece(65536, '\0');
      const auto count = ::recv(socket_.get(), piece.data(), piece.size(), 0);
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        FAIL("nothing came within 20 s");
      }
      if (count <= 0) {
        return {.type = frame_type::goodbye, .body = "(closed)"};
      }
      in_.append(piece, 0, static_cast<std::size_t>(count));
    }
  }

  void leave() { socket_.reset(); }
  [[nodiscard]] int get() const { return socket_.get(); }

private:
  void limit() {
    const timeval most{20, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
  }
  unique_fd socket_;
  std::string in_;
  std::size_t used_ = 0;
};

/// Listens, and does nothing else by itself.
class raw_listener {
public:
  raw_listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    auto where = raw_socket::loopback(0);
    socklen_t size = sizeof where;
    REQUIRE(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    const timeval most{20, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    REQUIRE(::listen(socket_.get(), 8) == 0);
    REQUIRE(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&where), &size) == 0);
    port = ntohs(where.sin_port);
  }
  raw_socket accept() {
    unique_fd taken{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    REQUIRE(taken);
    return raw_socket{std::move(taken)};
  }
  std::uint16_t port = 0;

private:
  unique_fd socket_;
};

}  // namespace millrace::runtime::testing
