// SPDX-License-Identifier: MIT
// The yardstick of what goes between two silos: a raw TCP echo over the loopback.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "bench/measure.h"
#include "millrace/runtime/unique_fd.h"

namespace millrace::bench {

inline constexpr int echo_round_trips = 10'000;

// So many times, one after the other.
inline void echo_exchange(int socket, bool sends_first, std::string bytes) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto size = static_cast<ssize_t>(bytes.size());
  const auto send = [&] {
    require(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) == size, "send");
  };
  for (int at = 0; at < echo_round_trips; ++at) {
    if (sends_first) {
      send();
    }
    require(::recv(socket, bytes.data(), bytes.size(), MSG_WAITALL) == size, "recv");
    if (!sends_first) {
      send();
    }
  }
}

// Microseconds a round trip of `body` between two threads that block.
inline double raw_round_trip(const std::string& body) {
  const runtime::unique_fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  auto* const address = reinterpret_cast<sockaddr*>(&where);
  require(::bind(listener.get(), address, size) == 0 && ::listen(listener.get(), 1) == 0 &&
              ::getsockname(listener.get(), address, &size) == 0,
          "listen");
  std::thread echo{[&] {
    const runtime::unique_fd taken{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    echo_exchange(taken.get(), false, body);
  }};
  const runtime::unique_fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  require(::connect(socket.get(), address, sizeof where) == 0, "connect");
  const auto start = now();
  echo_exchange(socket.get(), true, body);
  const auto taken = now() - start;
  echo.join();
  return taken * 1e6 / echo_round_trips;
}

}  // namespace millrace::bench
