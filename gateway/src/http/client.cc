// SPDX-License-Identifier: MIT
#include "http/client.h"

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
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

/// One request and its answer on a connection of its own, each step of which has a deadline. After
/// one that failed there is no other.
class exchange {
public:
  /// `tls` is null for http.
  exchange(const client_options& options, runtime::tls_context* tls, const runtime::clock& clock,
           method method, runtime::steady_time latest)
      : options_(options), tls_(tls), clock_(clock), method_(method), latest_(latest) {}

  result<void> connect() {
    const auto until = soon(options_.connect_timeout);
    const auto& base = options_.base;
    asio::ip::tcp::resolver resolver{context_};
    asio::ip::tcp::resolver::results_type found;
    auto failed = wait(until, [&](auto done) {
      resolver.async_resolve(base.host, std::to_string(base.port),
                             [&found, done](error_code ec, auto places) {
                               found = places;
                               done(ec);
                             });
    });
    if (!failed) {
      failed = wait(until, [&](auto done) {
        asio::async_connect(socket_, found, [done](error_code ec, const auto&) { done(ec); });
      });
    }
    if (failed) {
      return unreachable((is_late_                                    ? "no connection in time"
                          : failed == asio::error::connection_refused ? "connection refused"
                                                                      : failed.message()) +
                         "; is the server running there?");
    }
    error_code ignored;
    socket_.non_blocking(true, ignored);
    // An old connection that nobody notices the end of is all there is to lose.
    socket_.set_option(asio::socket_base::keep_alive{true}, ignored);
    const auto socket = socket_.native_handle();
    stream_ = tls_ != nullptr ? tls_->connecting(socket, base.host) : runtime::plain_stream(socket);
    last_ = carry_out(until, [&] { return stream_->handshake(); });
    if (last_.now == state::ended) {
      return is_late_ ? unreachable("no connection in time; does it speak TLS there?")
                      : refused().value_or(unreachable(last_.why));
    }
    return {};
  }

  result<void> send(std::string_view bytes) {
    answer_until_ = soon(options_.timeout);
    while (!bytes.empty()) {
      last_ = carry_out(answer_until_, [&] { return stream_->write(bytes); });
      if (last_.now == state::ended && is_late_) {
        return interrupted(broken);
      }
      if (last_.now == state::ended) {
        break;  // A refusal (413, say) may already wait to be read.
      }
      bytes.remove_prefix(last_.bytes);
    }
    return {};
  }

  /// `must_get_on`: see `client::download`.
  result<client_response> receive(const std::function<flow(std::string_view)>* sink,
                                  bool must_get_on) {
    const auto window = 3 * options_.timeout;
    const auto wanted_bytes = download_rate_min * static_cast<std::uint64_t>(window.count()) / 1000;
    runtime::duration waited{};  // of this window
    std::uint64_t came = 0;
    client_response answer;
    std::optional<response_parser> parser;
    source from{*this, answer_until_};
    for (;;) {
      if (!parser) {
        answer = {};
        parser.emplace(answer, sink, options_.body_bytes_max);
        parser->skip(method_ == method::head);
      }
      error_code failed;
      from.waited = {};
      const auto bytes = beast::http::read_some(from, buffer_, *parser, failed);
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
      } else if (sink != nullptr && parser->is_header_done() && must_get_on) {
        waited += from.waited;
        came += bytes;
        if (came >= wanted_bytes) {
          waited = {};
          came = 0;
        }
        from.until = runtime::time_after(clock_.steady(),
                                         window - std::min<runtime::duration>(waited, window));
      } else if (sink != nullptr && parser->is_header_done()) {
        from.until = soon(options_.quiet_timeout);
      }
    }
  }

private:
  using step = runtime::stream_step;
  using state = step::state;

  // What the stream's `last_` is about, among Beast's errors.
  static constexpr auto broken = asio::error::connection_aborted;

  // The stream, as Beast reads one.
  struct source {
    exchange& from;
    runtime::steady_time until;
    runtime::duration waited{};

    template <class Buffers>
    std::size_t read_some(const Buffers& buffers, error_code& failed) {
      const asio::mutable_buffer to = *asio::buffer_sequence_begin(buffers);
      const auto began = from.clock_.steady();
      const auto now = from.carry_out(
          until, [&] { return from.stream_->read(static_cast<char*>(to.data()), to.size()); });
      waited += from.clock_.steady() - began;
      failed = {};
      if (now.now == state::ended) {
        failed = now.end == runtime::stream_end::closed ? error_code{asio::error::eof} : broken;
      }
      from.last_ = now;
      return now.bytes;
    }
    template <class Buffers>
    std::size_t read_some(const Buffers& buffers);  // Beast wants it to be there
  };

  [[nodiscard]] runtime::steady_time soon(std::chrono::milliseconds wait) const {
    return std::min(latest_, clock_.steady() + wait);
  }

  // Begins what `begin` begins and waits for it, at most until then.
  template <class Begin>
  error_code wait(runtime::steady_time until, Begin begin) {
    const auto left = until - clock_.steady();
    error_code outcome = asio::error::timed_out;
    is_late_ = true;
    if (left > left.zero()) {
      begin([this, &outcome](error_code ec) {
        outcome = ec;
        is_late_ = false;
      });
      context_.restart();
      context_.run_for(std::chrono::ceil<std::chrono::milliseconds>(left));
    }
    return outcome;
  }

  // Has the stream carry something out, and waits for it, at most until then.
  template <class Operation>
  step carry_out(runtime::steady_time until, Operation operation) {
    for (;;) {
      is_late_ = clock_.steady() >= until;
      auto now = is_late_ ? step{.now = state::ended} : operation();
      if (now.now == state::done || now.now == state::ended) {
        return now;
      }
      const auto what = now.now == state::wants_read ? asio::socket_base::wait_read
                                                     : asio::socket_base::wait_write;
      if (const auto failed = wait(until, [&](auto done) { socket_.async_wait(what, done); })) {
        return {.now = state::ended, .why = failed.message()};
      }
    }
  }

  [[nodiscard]] error unreachable(const std::string& why) const {
    return {errc::unavailable, "cannot reach " + options_.base.origin() + ": " + why};
  }

  // When one end does not accept the other's certificate; nothing has been done then.
  [[nodiscard]] std::optional<error> refused() const {
    using end = runtime::stream_end;
    const auto& files = options_.tls;
    const auto made = [&](const std::string& remedy) {
      return error{errc::unauthenticated, "cannot speak with " + options_.base.origin() + ": " +
                                              last_.why + "; " + remedy};
    };
    switch (last_.end) {
      case end::closed:
      case end::broken:
        return std::nullopt;
      case end::not_tls:
        return unreachable("it does not speak TLS there; ask for http://");
      case end::untrusted:
        return made(files.authorities.empty()
                        ? "name the certificate of its authority with --ca FILE"
                        : "it is not from an authority in '" + files.authorities + "' (--ca)");
      case end::wrong_host:
        return made("it is not for '" + options_.base.host +
                    "': ask for a name that it is for, or have one issued for this");
      case end::out_of_date:
        return made("renew the server's certificate, or set the clock of this machine");
      case end::certificate_wanted:
        return made("show a certificate with --client-certificate FILE and --client-key FILE");
      case end::certificate_refused:
        return made("the server does not accept the certificate in '" + files.certificate + "'");
    }
    return std::nullopt;
  }

  // What an end before the end of the answer means: a method that changes nothing may simply be
  // sent again.
  [[nodiscard]] error interrupted(const error_code& why) const {
    using beast_error = beast::http::error;
    const auto where = options_.base.origin();
    if (is_late_) {
      return {errc::deadline_exceeded, where + " did not answer in time"};
    }
    if (why == beast_error::body_limit) {
      return {errc::too_large, "the answer is over the limit of " +
                                   std::to_string(options_.body_bytes_max) + " bytes"};
    }
    // Of a request that was sent a record that is none says nothing.
    if (auto known = refused();
        known && why == broken && last_.end != runtime::stream_end::not_tls) {
      return *std::move(known);
    }
    const auto is_early = why == beast_error::end_of_stream || why == beast_error::partial_message;
    const bool safe = method_ == method::get || method_ == method::head;
    return {safe ? errc::unavailable : errc::outcome_unknown,
            "the connection to " + where + " broke: " +
                (is_early        ? "it was closed before the answer was whole"
                 : why == broken ? last_.why
                                 : "not an HTTP answer: " + why.message())};
  }

  const client_options& options_;
  runtime::tls_context* const tls_;
  const runtime::clock& clock_;
  const method method_;
  const runtime::steady_time latest_;
  runtime::steady_time answer_until_;
  bool is_late_ = false;  // the last step was not done in time
  step last_;             // of the stream
  asio::io_context context_{1};
  asio::ip::tcp::socket socket_{context_};
  std::unique_ptr<runtime::byte_stream> stream_;
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

std::string url::origin() const {
  return (is_tls ? "https://" : "http://") + authority();
}

result<url> parse_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return error{errc::invalid_argument,
                 "'" + std::string{text} + "' is not a server address: " + std::string{why}};
  };
  auto rest = text;
  url made;
  made.is_tls = rest.starts_with("https://");
  made.port = made.is_tls ? 443 : 80;
  if (!made.is_tls && !rest.starts_with("http://")) {
    return bad("it must look like http://host:port or https://host:port");
  }
  rest.remove_prefix(made.is_tls ? 8 : 7);
  const auto slash = std::min(rest.find('/'), rest.size());
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
  return carry_out(method, target, body, headers, sink, latest, pace::any);
}

result<client_response> client::download(std::string_view target,
                                         const std::function<flow(std::string_view)>& sink) {
  return carry_out(method::get, target, {}, {}, sink, runtime::steady_time::max(), pace::download);
}

result<client_response> client::carry_out(method method, std::string_view target,
                                          std::string_view body, const header_list& headers,
                                          const std::function<flow(std::string_view)>& sink,
                                          runtime::steady_time latest, pace wanted) {
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
  if (options_.base.is_tls && !tls_) {
    auto loaded = runtime::load_client_tls(options_.tls, "http/1.1");
    if (!loaded) {
      return std::move(loaded).error();
    }
    tls_ = *std::move(loaded);
  }
  exchange one{options_, tls_.get(), clock_, method, latest};
  if (auto connected = one.connect(); !connected) {
    return std::move(connected).error();
  }
  if (auto sent = one.send(format_request(options_, method, target, body, headers)); !sent) {
    return std::move(sent).error();
  }
  return one.receive(sink ? &sink : nullptr, wanted == pace::download);
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

result<client_response> client::lines(method method, std::string_view target, std::string_view body,
                                      const header_list& headers,
                                      const std::function<flow(std::string_view)>& sink) {
  std::string partial;
  bool stopped = false;
  auto answer = stream(method, target, body, headers, [&](std::string_view piece) {
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
