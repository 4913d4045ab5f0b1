// SPDX-License-Identifier: MIT
// HTTP exchange: one request and its answer, on a connection of its own.
//
// A connection that is never reused cannot fail half-way into its second request, so it is always
// known whether anything was sent. Blocking; what is endless is taken in pieces.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/runtime/byte_stream.h"
#include "millrace/runtime/clock.h"
#include "millrace/runtime/result.h"

namespace millrace::runtime {

/// Where a server is.
struct http_endpoint {
  bool is_tls = false;
  std::string host;  ///< A name or an address; IPv6 without its brackets.
  std::string port;
  std::string text;  ///< As it was written.
};

/// Whether it is an address of this machine alone, or `localhost`.
[[nodiscard]] bool is_loopback(const http_endpoint& endpoint);

/// Reads `http://host:port` or `https://host:port`. Errors: `invalid_argument`.
[[nodiscard]] result<http_endpoint> parse_http_endpoint(std::string_view url);

/// What TLS connections share. Threading: any thread, once it is made.
class tls_settings {
public:
  /// Errors: `failed_precondition` for files that cannot be used.
  [[nodiscard]] static result<std::shared_ptr<const tls_settings>> make(const tls_files& files);
  ~tls_settings();
  tls_settings(const tls_settings&) = delete;
  tls_settings& operator=(const tls_settings&) = delete;

private:
  friend class http_exchange;
  struct parts;
  explicit tls_settings(std::unique_ptr<parts> made);
  std::unique_ptr<parts> parts_;
};

struct http_request {
  std::string target;              ///< Begins with a slash.
  std::string body = {};           ///< JSON, by POST; empty: a GET.
  std::string authorization = {};  ///< The header field; empty: none.
};

struct http_answer {
  int status = 0;
  std::string body;
};

/// Errors: `unavailable` when nothing was sent; `outcome_unknown` when the answer did not come, or
/// not whole, or not in time; `cancelled`.
class http_exchange {
public:
  /// Requires: `tls` for an endpoint with TLS; `clock` outlives it.
  http_exchange(const http_endpoint& endpoint, std::shared_ptr<const tls_settings> tls,
                const clock& clock);
  ~http_exchange();
  http_exchange(const http_exchange&) = delete;
  http_exchange& operator=(const http_exchange&) = delete;

  /// Sends the request and waits for the whole answer. Requires: the first call.
  [[nodiscard]] result<http_answer> ask(const http_request& request, steady_time deadline);

  /// The same, but a body of status 200 goes to `take`, in pieces as it comes, until that says
  /// false, the body ends or the deadline is there, all of which is success.
  [[nodiscard]] result<http_answer> stream(const http_request& request, steady_time deadline,
                                           const std::function<bool(std::string_view)>& take);

  /// Ends the call that runs, or the one that comes. Threading: any thread.
  void cancel();

private:
  class connection;
  std::unique_ptr<connection> connection_;
};

/// Whether the kernel of that machine refuses connections to the port: nobody listens there.
/// Errors: `unavailable` when it is not known. Cost: blocks until then at most.
[[nodiscard]] result<bool> refuses_connections(const std::string& address, steady_time deadline,
                                               const clock& clock);

}  // namespace millrace::runtime
