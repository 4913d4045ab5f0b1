// SPDX-License-Identifier: MIT
#include "chaos/http_caller.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "millrace/runtime/error.h"

namespace chaos {

using time_point = std::chrono::steady_clock::time_point;

namespace {

bool is_ready(int socket, short events, time_point end) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  pollfd waiting{socket, events, 0};
  return left.count() > 0 && ::poll(&waiting, 1, static_cast<int>(left.count())) > 0;
}

// What an answer of 400 or more says about what was done.
answer judge(int status, const std::string& body) {
  using namespace millrace::runtime;
  const auto document = json::parse(body, nullptr, false);
  const auto code = document.is_object() ? document.value("code", "") : "";
  answer made;
  made.text = std::to_string(status) + " " + code + ": " +
              (document.is_object() ? document.value("detail", "") : body.substr(0, 200));
  // Who cancels a call does not know how far it went.
  const auto error = errc_from_string(code);
  made.is = retry_of(error) == retry_class::unknown || error == errc::cancelled || code.empty()
                ? outcome::unknown
                : outcome::failed;
  return made;
}

// A field of a head in lower case; empty: none.
std::string field(const std::string& head, const std::string& name) {
  const auto at = head.find("\r\n" + name + ":");
  if (at == std::string::npos) {
    return {};
  }
  const auto begin = head.find_first_not_of(' ', at + 3 + name.size());
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

}  // namespace

http_caller::~http_caller() {
  for (const auto& [url, socket] : sockets_) {
    ::close(socket);
  }
}

void http_caller::drop(const std::string& url) {
  if (const auto at = sockets_.find(url); at != sockets_.end()) {
    ::close(at->second);
    sockets_.erase(at);
  }
}

int http_caller::connected(const std::string& url, time_point end) {
  if (const auto at = sockets_.find(url); at != sockets_.end()) {
    // What the other side has closed meanwhile is of no use.
    pollfd quiet{at->second, POLLIN, 0};
    if (::poll(&quiet, 1, 0) == 0) {
      return at->second;
    }
    drop(url);
  }
  const auto colon = url.rfind(':');
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(colon + 1))));
  ::inet_pton(AF_INET, url.substr(7, colon - 7).c_str(), &where.sin_addr);
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int yes = 1;
  ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  int failed = 0;
  socklen_t size = sizeof failed;
  const auto began = ::connect(made, reinterpret_cast<sockaddr*>(&where), sizeof where);
  if ((began != 0 && errno != EINPROGRESS) || !is_ready(made, POLLOUT, end) ||
      ::getsockopt(made, SOL_SOCKET, SO_ERROR, &failed, &size) != 0 || failed != 0) {
    ::close(made);
    return -1;
  }
  sockets_[url] = made;
  return made;
}

bool http_caller::write(int to, const std::string& text, time_point end) {
  for (std::size_t done = 0; done < text.size();) {
    const auto sent = ::send(to, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
    } else if (errno != EAGAIN || !is_ready(to, POLLOUT, end)) {
      return false;
    }
  }
  return true;
}

bool http_caller::read(int from, reply& into, time_point end) {
  std::string text;
  std::size_t head_end = std::string::npos;
  std::size_t wanted = 0;
  std::array<char, 16384> piece{};
  while (head_end == std::string::npos || text.size() < wanted) {
    if (!is_ready(from, POLLIN, end)) {
      return false;
    }
    const auto got = ::recv(from, piece.data(), piece.size(), 0);
    if (got <= 0) {
      return false;
    }
    text.append(piece.data(), static_cast<std::size_t>(got));
    if (head_end == std::string::npos && (head_end = text.find("\r\n\r\n")) != std::string::npos) {
      auto head = text.substr(0, head_end + 2);
      std::transform(head.begin(), head.end(), head.begin(),
                     [](unsigned char each) { return std::tolower(each); });
      into.status = std::stoi(head.substr(9, 3));
      const auto length = field(head, "content-length");
      into.closes = field(head, "connection") == "close" || length.empty();
      wanted = head_end + 4 + (length.empty() ? 0 : std::stoul(length));
    }
  }
  into.body = text.substr(head_end + 4);
  return true;
}

answer http_caller::ask(const std::string& url, const std::string& method,
                        const std::string& target, const std::string& body,
                        std::chrono::milliseconds limit, const std::string& idempotency_key) {
  const auto end = std::chrono::steady_clock::now() + limit;
  if (url.empty()) {
    return {outcome::failed, {}, "nobody serves there"};
  }
  const int socket = connected(url, end);
  if (socket < 0) {
    return {outcome::failed, {}, "no connection to " + url};
  }
  auto text = method + " " + target + " HTTP/1.1\r\nHost: " + url.substr(7) +
              "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  if (!idempotency_key.empty()) {
    text += "Idempotency-Key: " + idempotency_key + "\r\n";
  }
  text += (method == "PUT" ? "Content-Type: application/yaml\r\n\r\n"
                           : "Content-Type: application/json\r\n\r\n") +
          body;
  reply got;
  if (!write(socket, text, end) || !read(socket, got, end)) {
    drop(url);
    return {outcome::unknown, {}, "no answer from " + url};
  }
  if (got.closes) {
    drop(url);
  }
  if (got.status >= 400) {
    return judge(got.status, got.body);
  }
  return {outcome::ok, json::parse(got.body, nullptr, false), {}};
}

}  // namespace chaos
