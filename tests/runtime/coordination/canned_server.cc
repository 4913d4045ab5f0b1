// SPDX-License-Identifier: MIT
#include "canned_server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace millrace::testing {

canned_server::canned_server(std::map<std::string, std::string> answers)
    : answers_(std::move(answers)), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* at = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(listening_, at, size) == 0);
  REQUIRE(::listen(listening_, 16) == 0);
  REQUIRE(::getsockname(listening_, at, &size) == 0);
  url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  thread_ = std::thread{[this] { serve(); }};
}

canned_server::~canned_server() {
  ::shutdown(listening_, SHUT_RDWR);
  thread_.join();
  ::close(listening_);
  for (const int connection : silent_) {
    ::close(connection);
  }
}

void canned_server::answer(const std::string& target, std::string body) {
  const std::lock_guard lock{mutex_};
  answers_[target] = std::move(body);
}

std::size_t canned_server::requests_with(const std::string& text) {
  const std::lock_guard lock{mutex_};
  return static_cast<std::size_t>(std::count_if(
      requests_.begin(), requests_.end(),
      [&](const std::string& request) { return request.find(text) != std::string::npos; }));
}

void canned_server::fall_silent() {
  const std::lock_guard lock{mutex_};
  is_silent_ = true;
}

void canned_server::serve() {
  for (int connection = -1; (connection = ::accept(listening_, nullptr, nullptr)) >= 0;) {
    const std::lock_guard lock{mutex_};
    if (is_silent_) {
      silent_.push_back(connection);
    } else {
      serve_one(connection);
      ::close(connection);
    }
  }
}

void canned_server::serve_one(int connection) {
  std::string request;
  std::array<char, 4096> piece{};
  std::size_t body = 0;
  for (ssize_t size = 0; (size = ::recv(connection, piece.data(), piece.size(), 0)) > 0;) {
    request.append(piece.data(), static_cast<std::size_t>(size));
    const auto head = request.find("\r\n\r\n");
    const auto length = request.find("Content-Length: ");
    body = length == std::string::npos ? 0 : std::stoul(request.substr(length + 16));
    if (head != std::string::npos && request.size() >= head + 4 + body) {
      break;
    }
  }
  const auto begin = request.find(' ') + 1;
  const auto target = request.substr(begin, request.find(' ', begin) - begin);
  requests_.push_back(request);
  const auto found = answers_.find(target);
  const auto text = found == answers_.end() ? std::string{"{}"} : found->second;
  const auto answer = std::string{"HTTP/1.1 "} + (found == answers_.end() ? "404 None" : "200 OK") +
                      "\r\nContent-Length: " + std::to_string(text.size()) +
                      "\r\nConnection: close\r\n\r\n" + text;
  ::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
}

}  // namespace millrace::testing
