// SPDX-License-Identifier: MIT
// Handshake limit: how many TLS handshakes each address has under way, and how often it begins one.
//
// A handshake costs the server a signature, some hundred times what it costs the client, and
// nobody has shown a token by then. So addresses are bounded; whoever turns out to be somebody is
// given back what his handshake took of that.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "access/rate_limit.h"

namespace millrace::gateway::http {

/// Threading: any. `group`: see `address_group`.
class handshake_limit {
public:
  /// As `server_options::handshakes_of_address_max` and those after it.
  handshake_limit(std::size_t pending_max, unsigned at_once_max, unsigned a_second_max);

  /// One more begins; false: it must not, and does not count.
  [[nodiscard]] bool enter(const std::string& group, runtime::steady_time now);
  /// It is over, however it went. Requires: it has begun.
  void leave(const std::string& group);
  /// Its connection is somebody's. Requires: once for each.
  void know(const std::string& group);

private:
  const std::size_t pending_max_;
  std::mutex mutex_;  // for all below
  rate_limit begun_;
  std::map<std::string, std::size_t> pending_;
};

}  // namespace millrace::gateway::http
