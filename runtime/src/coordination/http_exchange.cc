// SPDX-License-Identifier: MIT
#include "coordination/http_exchange.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <limits>
#include <optional>
#include <utility>

namespace millrace::runtime {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace ssl = boost::asio::ssl;
using beast::error_code;

// A full range of 65535 records of 700 bytes, in base64.
constexpr std::uint64_t body_bytes_max = std::uint64_t{64} << 20U;

// A name server has no deadline of Beast's; a stream is given this much time to keep its own.
constexpr std::chrono::milliseconds grace{100};

std::string format(const http_endpoint& to, const http_request& request) {
  const bool is_v6 = to.host.find(':') != std::string::npos;
  std::string out = (request.body.empty() ? "GET " : "POST ") + request.target + " HTTP/1.1\r\n";
  out += "Host: " + (is_v6 ? "[" + to.host + "]" : to.host) + ":" + to.port + "\r\n";
  out += "Connection: close\r\n";
  if (!request.authorization.empty()) {
    out += "Authorization: " + request.authorization + "\r\n";
  }
  if (!request.body.empty()) {
    out += "Content-Type: application/json\r\n";
    out += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return out + "\r\n" + request.body;
}

}  // namespace

// --- addresses and settings ----------------------------------------------------------------------

result<http_endpoint> parse_http_endpoint(std::string_view url) {
  http_endpoint endpoint;
  endpoint.text = url;
  auto rest = url;
  endpoint.is_tls = rest.starts_with("https://");
  if (!endpoint.is_tls && !rest.starts_with("http://")) {
    return error{errc::invalid_argument,
                 "'" + std::string{url} + "' is not http://host:port or https://host:port"};
  }
  rest.remove_prefix(endpoint.is_tls ? 8 : 7);
  if (rest.ends_with('/')) {
    rest.remove_suffix(1);
  }
  const auto colon = rest.rfind(':');
  auto host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    host = {};
  }
  endpoint.host = host;
  endpoint.port = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
  const bool is_number = !endpoint.port.empty() && endpoint.port.size() <= 5 &&
                         endpoint.port.find_first_not_of("0123456789") == std::string::npos;
  if (endpoint.host.empty() || !is_number || std::stoul(endpoint.port) > UINT16_MAX ||
      endpoint.host.find_first_of("/?#@ \r\n") != std::string::npos) {
    return error{errc::invalid_argument,
                 "'" + std::string{url} + "' is not http://host:port or https://host:port"};
  }
  return endpoint;
}

bool is_loopback(const http_endpoint& endpoint) {
  error_code is_name;
  const auto address = asio::ip::make_address(endpoint.host, is_name);
  return is_name ? endpoint.host == "localhost" : address.is_loopback();
}

struct tls_settings::parts {
  mutable ssl::context context{ssl::context::tls_client};
};

tls_settings::tls_settings(std::unique_ptr<parts> made) : parts_(std::move(made)) {}
tls_settings::~tls_settings() = default;

result<std::shared_ptr<const tls_settings>> tls_settings::make(const tls_files& files) {
  auto made = std::make_unique<parts>();
  auto& context = made->context;
  context.set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                      ssl::context::no_tlsv1_1);
  context.set_verify_mode(ssl::verify_peer);
  error_code failed;
  const auto use = [&](const std::string& file, auto load) -> result<void> {
    if (!file.empty() || &file == &files.authorities) {
      load();
    }
    if (failed) {
      return error{errc::failed_precondition, "cannot use " + file + ": " + failed.message()};
    }
    return {};
  };
  auto used = use(files.authorities, [&] {
    files.authorities.empty() ? context.set_default_verify_paths(failed)
                              : context.load_verify_file(files.authorities, failed);
  });
  if (used) {
    used = use(files.certificate,
               [&] { context.use_certificate_chain_file(files.certificate, failed); });
  }
  if (used) {
    used =
        use(files.key, [&] { context.use_private_key_file(files.key, ssl::context::pem, failed); });
  }
  if (!used) {
    return used.error();
  }
  return std::shared_ptr<const tls_settings>{new tls_settings{std::move(made)}};
}

// --- the connection ------------------------------------------------------------------------------

// Every step is begun on this thread and waited for, at most until the deadline. After a failed one
// there is no other: its handler may still refer to what is gone.
class http_exchange::connection {
public:
  connection(const http_endpoint& endpoint, std::shared_ptr<const tls_settings> tls,
             const clock& clock)
      : endpoint_(endpoint), tls_(std::move(tls)), clock_(clock) {}

  result<http_answer> run(const http_request& request, steady_time deadline,
                          const std::function<bool(std::string_view)>* take) {
    deadline_ = deadline;
    if (auto failed = connect(); failed) {
      return stopped(errc::unavailable, "cannot reach ", failed);
    }
    const auto text = format(endpoint_, request);
    auto failed =
        step([&](auto& stream, auto done) { asio::async_write(stream, asio::buffer(text), done); });
    // A refusal may wait to be read.
    if (failed && failed != asio::error::broken_pipe && failed != asio::error::connection_reset) {
      return stopped(errc::outcome_unknown, "no answer from ", failed);
    }
    return receive(take);
  }

  void cancel() {
    is_cancelled_ = true;
    asio::post(context_, [this] { context_.stop(); });
  }

private:
  using parser_type = beast::http::response_parser<beast::http::string_body>;

  error_code connect() {
    asio::ip::tcp::resolver::results_type found;
    asio::ip::tcp::resolver resolver{context_};
    auto failed = step([&](auto&, auto done) {
      resolver.async_resolve(endpoint_.host, endpoint_.port, [&found, done](error_code ec, auto r) {
        found = std::move(r);
        done(ec, 0);
      });
    });
    if (!failed) {
      failed = step([&](auto&, auto done) {
        tcp().async_connect(found, [done](error_code ec, const auto&) { done(ec, 0); });
      });
    }
    return failed || !tls_ ? failed : shake_hands();
  }

  error_code shake_hands() {
    secure_.emplace(std::move(plain_), tls_->parts_->context);
    secure_->set_verify_callback(ssl::host_name_verification{endpoint_.host});
    error_code is_name;
    asio::ip::make_address(endpoint_.host, is_name);
    if (is_name &&
        SSL_set_tlsext_host_name(secure_->native_handle(), endpoint_.host.c_str()) != 1) {
      return asio::error::no_memory;
    }
    return step([&](auto&, auto done) {
      secure_->async_handshake(ssl::stream_base::client, [done](error_code ec) { done(ec, 0); });
    });
  }

  result<http_answer> receive(const std::function<bool(std::string_view)>* take) {
    beast::flat_buffer buffer;
    parser_type parser;
    // Not eager: such a parser keeps back a chunk until the next one begins.
    // Not boost::none: Beast 1.74 then refuses every body that has a Content-Length.
    parser.body_limit(take != nullptr ? std::numeric_limits<std::uint64_t>::max() : body_bytes_max);
    for (;;) {
      const auto failed = step([&](auto& stream, auto done) {
        beast::http::async_read_some(stream, buffer, parser, done);
      });
      auto& answer = parser.get();
      const bool is_taken =
          take != nullptr && parser.is_header_done() && answer.result_int() == 200;
      bool wants_more = true;
      if (is_taken && !answer.body().empty()) {
        wants_more = (*take)(answer.body());
        answer.body().clear();
      }
      const bool is_over = parser.is_done() || (is_taken && (failed || !wants_more));
      if (is_cancelled_) {
        return error{errc::cancelled, "the request to " + endpoint_.text + " was cancelled"};
      }
      if (is_over) {
        return http_answer{static_cast<int>(answer.result_int()), std::move(answer.body())};
      }
      if (failed) {
        return stopped(errc::outcome_unknown, "no answer from ", failed);
      }
    }
  }

  beast::tcp_stream& tcp() { return secure_ ? secure_->next_layer() : plain_; }

  // Begins what `start` begins on the stream, and waits for it.
  template <class Start>
  error_code step(Start start) {
    const auto left = deadline_ - clock_.steady();
    if (left <= left.zero() || is_cancelled_) {
      return is_cancelled_ ? error_code{asio::error::operation_aborted}
                           : error_code{beast::error::timeout};
    }
    const auto wait = std::min(std::chrono::ceil<std::chrono::milliseconds>(left), longest_wait);
    error_code outcome = beast::error::timeout;
    tcp().expires_after(wait);
    const auto done = [&outcome](error_code ec, std::size_t) { outcome = ec; };
    secure_ ? start(*secure_, done) : start(plain_, done);
    context_.restart();
    context_.run_for(wait + grace);
    return outcome;
  }

  error stopped(errc code, std::string_view what, const error_code& why) const {
    if (is_cancelled_) {
      code = errc::cancelled;
    }
    return {code, std::string{what} + endpoint_.text + ": " +
                      (why == beast::error::timeout ? "not in time" : why.message())};
  }

  static constexpr std::chrono::milliseconds longest_wait = std::chrono::hours{1};

  const http_endpoint endpoint_;
  const std::shared_ptr<const tls_settings> tls_;
  const clock& clock_;
  steady_time deadline_{};
  std::atomic<bool> is_cancelled_{false};
  asio::io_context context_{1};
  beast::tcp_stream plain_{context_};
  std::optional<beast::ssl_stream<beast::tcp_stream>> secure_;
};

http_exchange::http_exchange(const http_endpoint& endpoint, std::shared_ptr<const tls_settings> tls,
                             const clock& clock)
    : connection_(std::make_unique<connection>(endpoint, endpoint.is_tls ? std::move(tls) : nullptr,
                                               clock)) {}

http_exchange::~http_exchange() = default;

result<http_answer> http_exchange::ask(const http_request& request, steady_time deadline) {
  return connection_->run(request, deadline, nullptr);
}

result<http_answer> http_exchange::stream(const http_request& request, steady_time deadline,
                                          const std::function<bool(std::string_view)>& take) {
  return connection_->run(request, deadline, &take);
}

void http_exchange::cancel() {
  connection_->cancel();
}

result<bool> refuses_connections(const std::string& address, steady_time deadline,
                                 const clock& clock) {
  const auto endpoint = parse_http_endpoint("http://" + address);
  if (!endpoint) {
    return error{errc::invalid_argument, "'" + address + "' is not host:port"};
  }
  asio::io_context context{1};
  asio::ip::tcp::resolver resolver{context};
  beast::tcp_stream stream{context};
  error_code outcome = beast::error::timeout;
  const auto wait =
      std::max(std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.steady()),
               std::chrono::milliseconds{0});
  stream.expires_after(wait);
  // Every address of the name has to refuse: the range's own connect tells only the last error.
  bool all_refuse = true;
  resolver.async_resolve(
      endpoint->host, endpoint->port,
      [&](error_code ec, const asio::ip::tcp::resolver::results_type& found) {
        outcome = ec;
        if (!ec) {
          outcome = beast::error::timeout;
          stream.async_connect(
              found,
              [&](const error_code& last, const asio::ip::tcp::endpoint&) {
                all_refuse = all_refuse && (!last || last == asio::error::connection_refused);
                return true;
              },
              [&](error_code connected, const asio::ip::tcp::endpoint&) { outcome = connected; });
        }
      });
  context.run_for(wait + grace);
  if (!outcome) {
    return false;
  }
  if (outcome == asio::error::connection_refused && all_refuse) {
    return true;
  }
  return error{errc::unavailable,
               "it is not known whether anybody listens at " + address + ": " + outcome.message()};
}

}  // namespace millrace::runtime
