// SPDX-License-Identifier: MIT
#include "http/client.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <memory>

namespace millrace::gateway::http {
namespace {

using boost::beast::error_code;
using runtime::errc;
using runtime::error;
using runtime::result;
using view = boost::beast::string_view;

std::string_view std_view(view text) noexcept {
  return {text.data(), text.size()};
}

/// A descriptor that closes itself.
class descriptor {
public:
  explicit descriptor(int number) noexcept : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  [[nodiscard]] int get() const noexcept { return number_; }

private:
  int number_;
};

/// Parses the answer; bodies under 400 go to the sink when there is one.
class response_parser final : public boost::beast::http::basic_parser<false> {
public:
  response_parser(client_response& into, const std::function<flow(std::string_view)>* sink,
                  std::size_t body_bytes_max)
      : into_(into), sink_(sink) {
    eager(true);
    header_limit(64 << 10);
    // Not boost::none: Beast 1.74 then refuses every body that has a Content-Length.
    body_limit(sink_ != nullptr ? std::numeric_limits<std::uint64_t>::max() : body_bytes_max);
  }

  [[nodiscard]] bool stopped() const noexcept { return stopped_; }

private:
  void on_response_impl(int code, view, int, error_code&) override { into_.status = code; }
  void on_field_impl(boost::beast::http::field, view name, view value, error_code&) override {
    into_.headers.add(std_view(name), std_view(value));
  }
  std::size_t take(view piece, error_code& ec) {
    if (sink_ == nullptr || into_.status >= 400) {
      into_.body.append(piece.data(), piece.size());
    } else if ((*sink_)(std_view(piece)) == flow::stop) {
      stopped_ = true;
      ec = boost::beast::http::error::end_of_stream;
    }
    return piece.size();
  }
  std::size_t on_body_impl(view piece, error_code& ec) override { return take(piece, ec); }
  std::size_t on_chunk_body_impl(std::uint64_t, view piece, error_code& ec) override {
    return take(piece, ec);
  }
  void on_request_impl(boost::beast::http::verb, view, view, int, error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  void on_chunk_header_impl(std::uint64_t, view, error_code&) override {}
  void on_finish_impl(error_code&) override {}

  client_response& into_;
  const std::function<flow(std::string_view)>* sink_;
  bool stopped_ = false;
};

/// Waits for the socket until `until`. False when the time is over.
bool wait(const descriptor& socket, short events, const runtime::clock& clock,
          runtime::steady_time until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock.steady()).count();
    if (left <= 0) {
      return false;
    }
    pollfd one{socket.get(), events, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::min<long>(left, 60'000)));
    if (ready > 0) {
      return true;
    }
    if (ready < 0 && errno != EINTR) {
      return true;  // The next call on the socket reports what is wrong.
    }
  }
}

error unreachable(const url& where, std::string_view why) {
  return {errc::unavailable, "cannot reach http://" + where.authority() + ": " + std::string{why} +
                                 "; is the server running there?"};
}

result<descriptor> connect(const url& where, const runtime::clock& clock,
                           runtime::steady_time until) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed =
      ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
  if (failed != 0) {
    return unreachable(where, ::gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned{found, &::freeaddrinfo};
  std::string why = "no address";
  for (const auto* each = found; each != nullptr; each = each->ai_next) {
    descriptor socket{
        ::socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, each->ai_protocol)};
    if (socket.get() < 0) {
      why = std::strerror(errno);
      continue;
    }
    int status = ::connect(socket.get(), each->ai_addr, each->ai_addrlen) == 0 ? 0 : errno;
    if (status == EINPROGRESS) {
      if (!wait(socket, POLLOUT, clock, until)) {
        why = "no connection in time";
        continue;
      }
      socklen_t size = sizeof status;
      ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &status, &size);
    }
    if (status == 0) {
      return socket;
    }
    why = status == ECONNREFUSED ? "connection refused" : std::strerror(status);
  }
  return unreachable(where, why);
}

std::string format_request(const client_options& options, method method, std::string_view target,
                           std::string_view body, const header_list& headers) {
  std::string out{to_string(method)};
  out += ' ';
  out += options.base.prefix;
  out += target;
  out += " HTTP/1.1\r\nHost: ";
  out += options.base.authority();
  out += "\r\nConnection: close\r\n";
  for (const auto* list : {&options.headers, &headers}) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      const auto [name, value] = list->at(i);
      out += name;
      out += ": ";
      out += value;
      out += "\r\n";
    }
  }
  if (!body.empty() || method == method::post || method == method::put || method == method::patch) {
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  out += "\r\n";
  out += body;
  return out;
}

/// What a broken connection means: a method that changes nothing may simply be sent again.
error broken(const client_options& options, method method, std::string_view why) {
  const bool safe = method == method::get || method == method::head;
  return {safe ? errc::unavailable : errc::outcome_unknown,
          "the connection to http://" + options.base.authority() + " broke: " + std::string{why}};
}

error late(const client_options& options) {
  return {errc::deadline_exceeded,
          "http://" + options.base.authority() + " did not answer in time"};
}

bool has_line_end(std::string_view text) {
  return text.find_first_of(std::string_view{"\r\n\0", 3}) != std::string_view::npos;
}

}  // namespace

std::string url::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

result<url> parse_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return error{errc::invalid_argument,
                 "'" + std::string{text} + "' is not a server address: " + std::string{why}};
  };
  auto rest = text;
  if (rest.starts_with("https://")) {
    return bad("https is not supported; use http:// through a local proxy or tunnel");
  }
  if (!rest.starts_with("http://")) {
    return bad("it must look like http://host:port");
  }
  rest.remove_prefix(7);
  const auto slash = std::min(rest.find('/'), rest.size());
  url made;
  made.prefix = rest.substr(slash);
  while (made.prefix.ends_with('/')) {
    made.prefix.pop_back();
  }
  auto place = rest.substr(0, slash);
  if (place.find_first_of("@?# ") != std::string_view::npos ||
      made.prefix.find_first_of("?# ") != std::string::npos || has_line_end(rest)) {
    return bad("only a host, a port and a path prefix may stand in it");
  }
  auto colon = place.rfind(':');
  if (place.starts_with('[')) {
    const auto end = place.find(']');
    if (end == std::string_view::npos) {
      return bad("the bracket of the IPv6 address is not closed");
    }
    made.host = place.substr(1, end - 1);
    colon = end + 1 < place.size() ? end + 1 : std::string_view::npos;
    if (colon != std::string_view::npos && place[colon] != ':') {
      return bad("there is something between the address and the port");
    }
  } else {
    made.host = place.substr(0, colon);
  }
  if (made.host.empty()) {
    return bad("there is no host");
  }
  if (colon != std::string_view::npos) {
    const auto digits = place.substr(colon + 1);
    const auto [end, failed] =
        std::from_chars(digits.data(), digits.data() + digits.size(), made.port);
    if (failed != std::errc{} || end != digits.data() + digits.size() || made.port == 0) {
      return bad("the port is not a number from 1 to 65535");
    }
  }
  return made;
}

client::client(client_options options, const runtime::clock& clock)
    : options_(std::move(options)), clock_(clock) {}

result<client_response> client::send(method method, std::string_view target, std::string_view body,
                                     const header_list& headers) {
  return stream(method, target, body, headers, nullptr);
}

result<client_response> client::stream(method method, std::string_view target,
                                       std::string_view body, const header_list& headers,
                                       const std::function<flow(std::string_view)>& sink,
                                       runtime::steady_time latest) {
  if (!target.starts_with('/') || has_line_end(target) ||
      target.find(' ') != std::string_view::npos) {
    return error{errc::invalid_argument, "'" + std::string{target} + "' is not a request target"};
  }
  const std::array<const header_list*, 2> lists{&options_.headers, &headers};
  for (const auto* list : lists) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (has_line_end(list->at(i).name) || has_line_end(list->at(i).value)) {
        return error{errc::invalid_argument, "a header field has a line end in it"};
      }
    }
  }
  auto socket =
      connect(options_.base, clock_, std::min(latest, clock_.steady() + options_.connect_timeout));
  if (!socket) {
    return socket.error();
  }
  auto until = std::min(latest, clock_.steady() + options_.timeout);
  const auto sent = format_request(options_, method, target, body, headers);
  for (std::size_t at = 0; at < sent.size();) {
    const auto n = ::send(socket->get(), sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
    if (n >= 0) {
      at += static_cast<std::size_t>(n);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      break;  // A refusal (413, say) may already wait to be read.
    } else if (errno == EAGAIN && !wait(*socket, POLLOUT, clock_, until)) {
      return late(options_);
    } else if (errno != EAGAIN && errno != EINTR) {
      return broken(options_, method, std::strerror(errno));
    }
  }
  client_response answer;
  std::unique_ptr<response_parser> parser;
  std::string buffer(16 << 10, '\0');
  std::size_t held = 0;
  for (;;) {
    if (!parser) {
      answer = {};
      parser = std::make_unique<response_parser>(answer, sink ? &sink : nullptr,
                                                 options_.body_bytes_max);
      parser->skip(method == method::head);
    }
    error_code ec;
    std::size_t used = 0;
    while (held > used && !parser->is_done() && !ec) {
      used += parser->put(boost::asio::const_buffer{buffer.data() + used, held - used}, ec);
    }
    std::memmove(buffer.data(), buffer.data() + used, held - used);
    held -= used;
    if (parser->stopped()) {
      return answer;
    }
    if (ec == boost::beast::http::error::body_limit) {
      return error{errc::too_large, "the answer is over the limit of " +
                                        std::to_string(options_.body_bytes_max) + " bytes"};
    }
    if (ec && ec != boost::beast::http::error::need_more) {
      return broken(options_, method, "not an HTTP answer: " + ec.message());
    }
    if (parser->is_done()) {
      if (answer.status >= 200) {
        return answer;
      }
      parser.reset();  // 100 Continue and its like come before the answer.
      continue;
    }
    if (held == buffer.size()) {
      buffer.resize(buffer.size() * 2);  // Bounded by the parser's header limit.
    }
    if (!wait(*socket, POLLIN, clock_, until)) {
      return late(options_);
    }
    const auto n = ::recv(socket->get(), buffer.data() + held, buffer.size() - held, 0);
    if (n > 0) {
      held += static_cast<std::size_t>(n);
      until = sink ? std::min(latest, clock_.steady() + options_.timeout) : until;
    } else if (n == 0) {
      if (parser->got_some()) {
        parser->put_eof(ec);
      }
      if (parser->got_some() && !ec && parser->is_done()) {
        return answer;
      }
      return broken(options_, method, "it was closed before the answer was whole");
    } else if (errno != EAGAIN && errno != EINTR) {
      return broken(options_, method, std::strerror(errno));
    }
  }
}

result<client_response> client::events(std::string_view target, std::string_view last_event_id,
                                       const std::function<flow(const received_event&)>& sink,
                                       runtime::steady_time latest) {
  header_list headers{{"Accept", "text/event-stream"}};
  if (!last_event_id.empty()) {
    headers.add("Last-Event-ID", last_event_id);
  }
  event_parser parser;
  const auto feed = [&](std::string_view piece) {
    const bool more =
        parser.feed(piece, [&](const received_event& event) { return sink(event) == flow::more; });
    return more ? flow::more : flow::stop;
  };
  return stream(method::get, target, {}, headers, feed, latest);
}

result<client_response> client::lines(std::string_view target, const header_list& headers,
                                      const std::function<flow(std::string_view)>& sink) {
  std::string partial;
  bool stopped = false;
  auto answer = stream(method::get, target, {}, headers, [&](std::string_view piece) {
    for (auto end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
      partial += piece.substr(0, end);
      piece.remove_prefix(end + 1);
      if (partial.ends_with('\r')) {
        partial.pop_back();
      }
      stopped = sink(partial) == flow::stop;
      partial.clear();
      if (stopped) {
        return flow::stop;
      }
    }
    partial += piece;
    return flow::more;
  });
  if (answer && !stopped && !partial.empty()) {
    sink(partial);
  }
  return answer;
}

}  // namespace millrace::gateway::http
