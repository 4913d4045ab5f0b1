// SPDX-License-Identifier: MIT
#include "cli/bare_token.h"

#include <iostream>

#include "http/authority.h"
#include "http/client.h"

namespace millrace::gateway::cli {

void warn_of_bare_token(const context& target) {
  const auto base = http::parse_url(target.server);
  if (base && !base->is_tls && !target.token.empty() &&
      !http::is_loopback(http::host_of(base->authority()))) {
    std::cerr << "millrace: warning: the token goes to " << base->origin()
              << " without TLS, and whoever is on the way can read it: use https://\n";
  }
}

}  // namespace millrace::gateway::cli
