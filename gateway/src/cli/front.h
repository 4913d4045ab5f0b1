// SPDX-License-Identifier: MIT
// Front: the HTTP server of a process, in front of its node.
#pragma once

#include <memory>
#include <string>

#include "cli/command.h"
#include "http/server.h"
#include "log/log.h"
#include "node/node.h"

namespace millrace::gateway::cli {

/// An address to serve on, as `127.0.0.1:8400`, `localhost:8400`, `[::1]:8400` or `:8400` says it.
/// Errors: `invalid_argument`; also for one that is not loopback without `insecure`.
[[nodiscard]] runtime::result<http::server_options> listen_options(const std::string& text,
                                                                   bool insecure);

/// Threading: one thread.
class front {
public:
  /// Requires: `here` and `told` outlive it.
  front(node& here, http::server_options listen, logs& told);
  front(const front&) = delete;
  front& operator=(const front&) = delete;
  ~front();

  /// Serves; gives the URL. Errors: `conflict` for an address that cannot be listened on.
  [[nodiscard]] runtime::result<std::string> start();
  /// Lets requests end for a while. Idempotent.
  void stop();

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace millrace::gateway::cli
