// SPDX-License-Identifier: MIT
#include "http/client.h"

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <charconv>
#include <limits>
#include <memory>

namespace millrace::gateway::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using beast::error_code;
using runtime::errc;
using runtime::error;
using runtime::result;
using view = beast::string_view;

std::string_view std_view(view text) noexcept {
  return {text.data(), text.size()};
}

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

/// One request and its answer on a connection of its own. Beast keeps the deadline of each step.
class exchange {
public:
  exchange(const client_options& options, const runtime::clock& clock, method method,
           runtime::steady_time latest)
      : options_(options), clock_(clock), method_(method), latest_(latest) {}

  result<void> connect() {
    const auto until = soon(options_.connect_timeout);
    asio::ip::tcp::resolver resolver{context_};
    asio::ip::tcp::resolver::results_type found;
    auto failed = step(until, [&](auto done) {
      resolver.async_resolve(options_.base.host, std::to_string(options_.base.port),
                             [&found, done](error_code ec, auto places) {
                               found = places;
                               done(ec, 0);
                             });
    });
    if (!failed) {
      failed = step(until, [&](auto done) {
        stream_.async_connect(found, [done](error_code ec, const auto&) { done(ec, 0); });
      });
    }
    if (failed) {
      return unreachable(failed);
    }
    error_code
        ignored;  // An old connection that nobody notices the end of is all there is to lose.
    stream_.socket().set_option(asio::socket_base::keep_alive{true}, ignored);
    return {};
  }

  result<void> send(const std::string& bytes) {
    answer_until_ = soon(options_.timeout);
    const auto failed = step(
        answer_until_, [&](auto done) { asio::async_write(stream_, asio::buffer(bytes), done); });
    // A refusal (413, say) may already wait to be read.
    if (failed && failed != asio::error::broken_pipe && failed != asio::error::connection_reset) {
      return interrupted(failed);
    }
    return {};
  }

  result<client_response> receive(const std::function<flow(std::string_view)>* sink) {
    client_response answer;
    std::optional<response_parser> parser;
    auto until = answer_until_;
    for (;;) {
      if (!parser) {
        answer = {};
        parser.emplace(answer, sink, options_.body_bytes_max);
        parser->skip(method_ == method::head);
      }
      const auto failed = step(
          until, [&](auto done) { beast::http::async_read_some(stream_, buffer_, *parser, done); });
      if (parser->stopped()) {
        return answer;
      }
      if (failed) {
        return interrupted(failed);
      }
      if (parser->is_done() && answer.status >= 200) {
        return answer;
      }
      if (parser->is_done()) {
        parser.reset();  // 100 Continue and its like come before the answer.
      } else if (sink != nullptr && parser->is_header_done()) {
        until = soon(options_.quiet_timeout);
      }
    }
  }

private:
  [[nodiscard]] runtime::steady_time soon(std::chrono::milliseconds wait) const {
    return std::min(latest_, clock_.steady() + wait);
  }

  // Starts what `start` starts and waits for it, at most until then.
  template <class Start>
  error_code step(runtime::steady_time until, Start start) {
    const auto left = until - clock_.steady();
    if (left <= left.zero()) {
      return beast::error::timeout;
    }
    error_code outcome = beast::error::timeout;
    stream_.expires_after(std::chrono::ceil<std::chrono::milliseconds>(left));
    start([&outcome](error_code ec, std::size_t) { outcome = ec; });
    context_.restart();
    context_.run_for(std::chrono::ceil<std::chrono::milliseconds>(left) + grace);
    return outcome;
  }

  [[nodiscard]] error unreachable(const error_code& why) const {
    return {errc::unavailable, "cannot reach http://" + options_.base.authority() + ": " +
                                   (why == beast::error::timeout ? "no connection in time"
                                    : why == asio::error::connection_refused ? "connection refused"
                                                                             : why.message()) +
                                   "; is the server running there?"};
  }

  // What an end before the end of the answer means: a method that changes nothing may simply be
  // sent again.
  [[nodiscard]] error interrupted(const error_code& why) const {
    using beast_error = beast::http::error;
    const auto where = "http://" + options_.base.authority();
    if (why == beast::error::timeout) {
      return {errc::deadline_exceeded, where + " did not answer in time"};
    }
    if (why == beast_error::body_limit) {
      return {errc::too_large, "the answer is over the limit of " +
                                   std::to_string(options_.body_bytes_max) + " bytes"};
    }
    const auto is_early = why == beast_error::end_of_stream || why == beast_error::partial_message;
    const auto is_ours = why.category() == make_error_code(beast_error::end_of_stream).category();
    const bool safe = method_ == method::get || method_ == method::head;
    return {safe ? errc::unavailable : errc::outcome_unknown,
            "the connection to " + where + " broke: " +
                (is_early  ? "it was closed before the answer was whole"
                 : is_ours ? "not an HTTP answer: " + why.message()
                           : why.message())};
  }

  // A name server has no deadline of Beast's; a stream is given this much time to keep its own.
  static constexpr std::chrono::milliseconds grace{100};

  const client_options& options_;
  const runtime::clock& clock_;
  const method method_;
  const runtime::steady_time latest_;
  runtime::steady_time answer_until_;
  asio::io_context context_{1};
  beast::tcp_stream stream_{context_};
  beast::flat_buffer buffer_;
};

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
  exchange one{options_, clock_, method, latest};
  if (auto connected = one.connect(); !connected) {
    return std::move(connected).error();
  }
  if (auto sent = one.send(format_request(options_, method, target, body, headers)); !sent) {
    return std::move(sent).error();
  }
  return one.receive(sink ? &sink : nullptr);
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
