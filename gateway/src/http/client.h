// SPDX-License-Identifier: MIT
// A small blocking HTTP/1.1 client for the command line, in the clear or over TLS 1.3.
//
// One connection a request: a command makes few, and a connection that is never reused cannot
// fail half-way through its second request.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/sse.h"
#include "millrace/runtime/byte_stream.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::gateway::http {

/// Where a server is: `http://host[:port][/prefix]`, or https.
struct url {
  std::string host;  ///< A name or an address; IPv6 without its brackets.
  std::uint16_t port = 80;
  std::string prefix;   ///< Goes before every target; empty or "/..." without a last slash.
  bool is_tls = false;  ///< https

  /// `host:port`, for texts and the Host field.
  [[nodiscard]] std::string authority() const;
  /// `http://host:port`, for texts.
  [[nodiscard]] std::string origin() const;
};

/// Errors: `invalid_argument`.
[[nodiscard]] runtime::result<url> parse_url(std::string_view text);

struct client_options {
  url base;
  runtime::tls_files tls;  ///< For https. The server is always verified.
  header_list headers;     ///< Sent with every request (Authorization, for one).
  std::chrono::milliseconds connect_timeout{5'000};

  std::chrono::milliseconds timeout{10'000};  ///< For the whole answer; of a stream, its head.
  std::chrono::milliseconds quiet_timeout{60'000};  ///< Between two pieces of a stream.
  std::size_t body_bytes_max = std::size_t{256} << 20;
};

struct client_response {
  int status = 0;
  header_list headers;
  std::string body;
};

/// What a body that has an end must bring in a second, looked at over three times `timeout`.
inline constexpr std::uint64_t download_rate_min = 1024;

/// Whether a streaming callback wants more.
enum class flow : std::uint8_t { more, stop };

/// Sends requests, one at a time.
///
/// Errors (all requests): `unavailable` when there was no connection, so nothing was done;
/// `deadline_exceeded` when the answer did not come in time; `outcome_unknown` (or `unavailable`
/// for GET and HEAD) when the connection broke before the answer was whole; `too_large` for a body
/// over the limit; `unauthenticated` when one of the two ends does not accept the other's
/// certificate, and `invalid_argument` for files that cannot be used: nothing was done. The text
/// names the address. A status of 400 or more is an answer, not an
/// error: `error_of_response` makes it one.
/// Threading: one thread at a time; blocks it.
class client {
public:
  /// Requires: `clock` outlives the client.
  client(client_options options, const runtime::clock& clock);

  void set_timeout(std::chrono::milliseconds timeout) { options_.timeout = timeout; }

  [[nodiscard]] runtime::result<client_response> send(method method, std::string_view target,
                                                      std::string_view body = {},
                                                      const header_list& headers = {});

  /// As `send`, but the body of an answer under 400 goes to `sink` as it arrives. Stopping is
  /// success. The response returned has the body only of an answer of 400 or more. Time: not past
  /// `latest`, then it is an error, whatever has arrived.
  [[nodiscard]] runtime::result<client_response> stream(
      method method, std::string_view target, std::string_view body, const header_list& headers,
      const std::function<flow(std::string_view)>& sink,
      runtime::steady_time latest = runtime::steady_time::max());

  /// As `stream`, a GET of a body that has an end and so must get on: `deadline_exceeded` once
  /// three times `timeout` have brought less than `download_rate_min` asks for. What `sink` takes
  /// does not count as time.
  [[nodiscard]] runtime::result<client_response> download(
      std::string_view target, const std::function<flow(std::string_view)>& sink);

  /// GETs server-sent events from after `last_event_id` (empty: from the beginning). Time: as
  /// `stream`.
  [[nodiscard]] runtime::result<client_response> events(
      std::string_view target, std::string_view last_event_id,
      const std::function<flow(const received_event&)>& sink,
      runtime::steady_time latest = runtime::steady_time::max());

  /// As `stream`, of a body of lines (NDJSON); each goes to `sink` without its line end.
  [[nodiscard]] runtime::result<client_response> lines(
      method method, std::string_view target, std::string_view body, const header_list& headers,
      const std::function<flow(std::string_view)>& sink);

private:
  enum class pace : std::uint8_t { any, download };
  [[nodiscard]] runtime::result<client_response> carry_out(
      method method, std::string_view target, std::string_view body, const header_list& headers,
      const std::function<flow(std::string_view)>& sink, runtime::steady_time latest, pace wanted);

  client_options options_;
  const runtime::clock& clock_;
  std::shared_ptr<runtime::tls_context> tls_;  // of https, once a request has been sent
};

}  // namespace millrace::gateway::http
