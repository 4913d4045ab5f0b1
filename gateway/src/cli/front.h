// SPDX-License-Identifier: MIT
// Front: the HTTP server of a process, in front of its node.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "http/server.h"
#include "log/log.h"
#include "node/node.h"

namespace millrace::gateway::cli {

/// What keeps strangers off an address that others reach.
struct protection {
  bool has_tls = false;
  bool has_tokens = false;
  bool is_waived = false;  ///< `--insecure`: something else does.
};

/// An address to serve on, as `127.0.0.1:8400`, `localhost:8400`, `[::1]:8400` or `:8400` says it.
/// Errors: `invalid_argument`; also for one that is not loopback without TLS and tokens, unless
/// that is waived.
[[nodiscard]] runtime::result<http::server_options> listen_options(const std::string& text,
                                                                   const protection& against);

struct front_options {
  http::server_options listen;
  std::string root_token;  ///< The token that may do everything; empty: nobody is asked for one.
  unsigned requests_a_second = 0;  ///< As `request_rates` has it.
  /// Of the links of its node, which has read them; unset: these have none.
  std::optional<runtime::cluster_certificates> certificates = {};
};

/// Threading: one thread.
class front {
public:
  /// Requires: `here` and `told` outlive it.
  front(node& here, front_options options, logs& told);
  front(const front&) = delete;
  front& operator=(const front&) = delete;
  ~front();

  /// Serves; gives the URL. Errors: `conflict` for an address that cannot be listened on.
  [[nodiscard]] runtime::result<std::string> start();
  /// Which of its threads is stuck, if one is: it asks the server's to answer, and tells at the
  /// next call, a while later, when that has not.
  [[nodiscard]] std::optional<runtime::error> stall();
  /// Lets requests end for a while. Idempotent.
  void stop();

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace millrace::gateway::cli
