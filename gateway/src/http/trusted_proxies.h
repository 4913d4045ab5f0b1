// SPDX-License-Identifier: MIT
// Trusted proxies: whose word is taken for where a request comes from.
//
// A proxy adds the address that it was asked from at the end of X-Forwarded-For; what stands before
// that is whatever the client has sent. So the field is read from its end, and only as far as those
// who wrote it are trusted: the first address that is none of theirs is the client's.
//
// Pure: no socket, no clock.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "millrace/runtime/result.h"

namespace millrace::gateway::http {

/// Networks of addresses, of IPv4 and IPv6. An IPv4 address that is written as one of IPv6
/// (`::ffff:10.0.0.1`) is that of IPv4.
class trusted_proxies {
public:
  /// Of none.
  trusted_proxies() = default;

  /// Reads `10.0.0.0/8,fd00::/8,192.0.2.7`: networks, or single addresses.
  /// Errors: `invalid_argument`, naming the one that is wrong.
  [[nodiscard]] static runtime::result<trusted_proxies> parse(std::string_view text);

  [[nodiscard]] bool trusts(std::string_view address) const;

  /// Where a request comes from that `peer` has sent: `peer`, unless that is trusted and the field
  /// says more. What is no address ends the reading there: then it is `peer`.
  /// Cost: O(fields + addresses read * networks).
  [[nodiscard]] std::string client_of(const std::string& peer, const header_list& headers) const;

private:
  // Of IPv6; an IPv4 address is a mapped one.
  using bytes = std::array<std::uint8_t, 16>;
  struct network {
    bytes first;
    unsigned bits;
  };

  [[nodiscard]] bool holds(const bytes& address) const;

  std::vector<network> networks_;
};

}  // namespace millrace::gateway::http
