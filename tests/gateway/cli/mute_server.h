// SPDX-License-Identifier: MIT
// A server that takes connections and says nothing, or never comes to the end of what it says.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <atomic>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "cli/remote.h"
#include "gateway/http/wire.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::gateway::cli {

class mute_server {
public:
  /// It answers with `begin`, and then a letter every few milliseconds; with nothing when that is
  /// empty.
  explicit mute_server(std::string begin)
      : begin_(std::move(begin)),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        stop_(::eventfd(0, EFD_CLOEXEC)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof where;
    auto* const place = reinterpret_cast<sockaddr*>(&where);
    REQUIRE(::bind(listener_.get(), place, size) == 0);
    REQUIRE(::listen(listener_.get(), 16) == 0);
    REQUIRE(::getsockname(listener_.get(), place, &size) == 0);
    port_ = ntohs(where.sin_port);
    serving_ = std::thread{[this] { serve(); }};
  }
  mute_server(const mute_server&) = delete;
  mute_server& operator=(const mute_server&) = delete;
  ~mute_server() {
    ::eventfd_write(stop_.get(), 1);
    serving_.join();
  }

  /// One that waits for an answer a fifth of a second only.
  [[nodiscard]] remote asked() const {
    boost::program_options::options_description known;
    add_server_options(known);
    const std::vector<std::string> words{"--server", "http://127.0.0.1:" + std::to_string(port_)};
    option_values options;
    store(boost::program_options::command_line_parser{words}.options(known).run(), options);
    auto made = remote::open(options);
    REQUIRE(made);
    made->set_timeout(std::chrono::milliseconds{200});
    return *std::move(made);
  }

  /// How many connections it has taken, once they are as many as that; it takes them a moment
  /// later.
  [[nodiscard]] int connections(int wanted) const {
    const auto end = std::chrono::steady_clock::now() + http::patience;
    while (connections_ < wanted && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    return connections_;
  }

private:
  void serve() {
    constexpr int drip_ms = 5;
    std::list<runtime::unique_fd> taken;
    std::vector<pollfd> watched{{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    while (::poll(watched.data(), watched.size(), drip_ms) >= 0 && watched[0].revents == 0) {
      if (watched[1].revents != 0) {
        taken.emplace_back(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        ++connections_;
        ::send(taken.back().get(), begin_.data(), begin_.size(), MSG_NOSIGNAL);
      }
      for (const auto& each : taken) {
        ::send(each.get(), "x", begin_.empty() ? 0 : 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      }
    }
  }

  std::string begin_;
  runtime::unique_fd listener_;
  runtime::unique_fd stop_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::thread serving_;
};

}  // namespace millrace::gateway::cli
